import os
import shutil

import pytest

from ingot.errors import InputError
from ingot.recipe import digest as digest_module
from ingot.recipe.digest import recipe_digest
from ingot.recipe.load import load_recipe
from tests.recipe.conftest import LOCK


def digest(web):
    return recipe_digest(load_recipe(web.file))


def touch_all(web):
    for path in web.path.rglob("*"):
        os.utime(path, (1, 1))


def close_umask(web):
    for path in web.path.rglob("*"):
        if path.is_file():
            path.chmod(0o600)


def move(web):
    new = web.path.parent.parent / "elsewhere" / "web"
    shutil.copytree(web.path, new)
    web.path, web.file = new, new / "recipe.yaml"


def reverse_keys(web):
    blocks, lines = [], web.file.read_text().splitlines()
    for line in lines:
        if line.startswith(" "):
            blocks[-1].append(line)
        else:
            blocks.append([line])
    web.file.write_text("\n".join(line for block in reversed(blocks) for line in block) + "\n")


SAME = {
    "other times": touch_all,
    "another umask": close_umask,
    "another directory": move,
    "other order of keys": reverse_keys,
    "other order of inner keys": lambda web: web.replace("{name: app, gid: 990}", "{gid: 990, name: app}"),
    "a comment": lambda web: web.replace("steps:", "\n# why\nsteps:  # that\n"),
    "another spelling": lambda web: web.replace("[apache2]", '\n  - "apache2"'),
    "a default written out": lambda web: web.replace("steps:", "architecture: x86_64\nsteps:"),
    "nothing allowed": lambda web: web.replace("steps:", "hygiene: {allow: []}\nsteps:"),
    "a default of a part": lambda web: web.replace("{size: 2GiB}", "{size: 2GiB, device: ebs}"),
    "another unit": lambda web: web.replace("2GiB", "2048MiB"),
    "another spelling of a target": lambda web: web.replace("/etc/site.conf", "/etc//site.conf"),
    "what Python leaves": lambda web: (web.path / "app" / "__pycache__").mkdir(),
    "a file that is not used": lambda web: (web.path / "files" / "other").write_text("y"),
    "another spelling of the lock": lambda web: web.write_lock(dict(reversed(LOCK.items()))),
}

OTHER = {
    "content of a file": lambda web: (web.path / "files" / "site.conf").write_text("y\n"),
    "content of the app": lambda web: (web.path / "app" / "wsgi.py").write_text("application = 1\n"),
    "the executable bit": lambda web: (web.path / "app" / "wsgi.py").chmod(0o755),
    "a new file": lambda web: (web.path / "app" / "new").write_text(""),
    "a new empty directory": lambda web: (web.path / "app" / "new").mkdir(),
    "a new link": lambda web: (web.path / "app" / "new").symlink_to("wsgi.py"),
    "a file less": lambda web: (web.path / "app" / "wsgi.py").unlink(),
    "a mode": lambda web: web.replace("/etc/site.conf}", '/etc/site.conf, mode: "0600"}'),
    "an owner": lambda web: web.replace("/etc/site.conf}", "/etc/site.conf, owner: app}"),
    "a target": lambda web: web.replace("/etc/site.conf", "/etc/site2.conf"),
    "the size": lambda web: web.replace("2GiB", "3GiB"),
    "a gid": lambda web: web.replace("gid: 990", "gid: 991"),
    "the order of steps": lambda web: (
        web.replace("  - a2ensite site\n", "") or web.replace("30}\n", "30}\n  - a2ensite site\n")
    ),
    "a timeout": lambda web: web.replace("30}", "31}"),
    "a test": lambda web: web.replace("it answers", "it does answer"),
    "what is dropped": lambda web: web.replace("steps:", "drop: {man: false}\nsteps:"),
    "what the hygiene gate lets pass": lambda web: web.replace(
        "steps:", "hygiene: {allow: [{finding: log, path: /var/log/x, reason: why}]}\nsteps:"
    ),
    "the epoch": lambda web: web.write_lock({**LOCK, "epoch": 1}),
    "a locked version": lambda web: web.write_lock(
        {**LOCK, "packages": [{**LOCK["packages"][0], "version": "3"}]}
    ),
    "a locked hash": lambda web: web.write_lock(
        {**LOCK, "packages": [{**LOCK["packages"][0], "sha256": "cd" * 32}]}
    ),
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_what_does_not_reach_the_image_does_not_count(web, change):
    before = digest(web)
    change(web)
    assert digest(web) == before


@pytest.mark.parametrize("change", OTHER.values(), ids=OTHER)
def test_what_reaches_the_image_counts(web, change):
    before = digest(web)
    change(web)
    assert digest(web) != before


def test_the_engine_counts(web, monkeypatch):
    before = digest(web)
    monkeypatch.setattr(digest_module, "ENGINE_FORMAT", 10_000)
    assert digest(web) != before


def test_the_digest_is_a_sha256(web):
    assert len(bytes.fromhex(digest(web))) == 32


def test_no_lock_no_digest(web):
    web.lock.unlink()
    with pytest.raises(InputError, match="run: ingot lock web"):
        digest(web)
