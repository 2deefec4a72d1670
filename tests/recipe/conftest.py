"""A recipe and its lock in a directory of their own."""

import json
from pathlib import Path

import pytest

from ingot.recipe.load import load_recipe
from ingot.recipe.lock.distribution import DPKG_ARCHITECTURE, distribution_of
from tests.recipe.archive import Signer, stanza, write_archive

MINIMAL = """\
name: web
base: {debian: bookworm}
root_volume: {size: 2GiB}
packages: [apache2]
groups: [{name: app, gid: 990}]
users: [{name: app, uid: 990, group: app, groups: [www-data]}]
app: {source: app/, target: /srv/web, owner: app, group: app}
files:
  - {source: files/site.conf, target: /etc/site.conf}
steps:
  - a2ensite site
  - {run: a2enmod headers, timeout: 30}
tests:
  - {name: it answers, http: {path: /}}
"""

LOCK = {
    "format": 1,
    "distribution": {"id": "debian", "suite": "bookworm"},
    "architecture": "amd64",
    "epoch": 1700000000,
    "packages": [
        {
            "name": "apache2",
            "version": "2.4-1",
            "architecture": "amd64",
            "sha256": "ab" * 32,
            "size": 10,
            "path": "pool/a/apache2_2.4-1_amd64.deb",
            "archive": "debian",
            "suite": "bookworm",
            "essential": False,
            "role": "install",
        }
    ],
    "requested": {"base": ["udev"], "packages": ["apache2"], "tools": ["busybox-static"]},
}


class RecipeDirectory:
    """``image_recipes/web`` below a temporary directory; ``write`` changes it."""

    def __init__(self, top: Path) -> None:
        self.path = top / "image_recipes" / "web"
        self.file = self.path / "recipe.yaml"
        self.lock = self.path / "recipe.lock"

    def fill(self) -> None:
        (self.path / "app" / "static").mkdir(parents=True)
        (self.path / "files").mkdir()
        (self.path / "app" / "wsgi.py").write_text("application = None\n")
        (self.path / "app" / "static" / "a b.css").write_text("body {}\n")
        (self.path / "files" / "site.conf").write_text("x\n")
        self.file.write_text(MINIMAL)
        self.write_lock(LOCK)

    def write_lock(self, lock: object) -> None:
        self.lock.write_text(json.dumps(lock))

    def replace(self, old: str, new: str) -> None:
        text = self.file.read_text()
        assert old in text
        self.file.write_text(text.replace(old, new))


@pytest.fixture
def web(tmp_path, monkeypatch):
    """A recipe that is right, locked, and the working directory above it."""
    directory = RecipeDirectory(tmp_path)
    directory.fill()
    monkeypatch.setenv("INGOT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return directory


@pytest.fixture(scope="session")
def signer():
    """One key for every archive of the tests."""
    signer = Signer()
    yield signer
    signer.close()


@pytest.fixture
def archive(web, tmp_path, signer, monkeypatch):
    """Writes the archive of the recipe's distribution anew on each call; the base
    packages are always in it.
    """
    web.lock.unlink()
    root = tmp_path / "mirror"
    monkeypatch.setenv("INGOT_KEYRING", str(signer.keyring))

    def write(main=(), security=(), date=None, key=signer):
        recipe = load_recipe(web.file)
        distribution = distribution_of(recipe)
        monkeypatch.setenv("INGOT_MIRROR", f"file://{root}/{distribution.archives[0]}")
        names = {*distribution.base_packages, *distribution.tools} - {"busybox-static"}
        base = [stanza(name) for name in sorted(names)]
        # A tool's own dependencies are not wanted.
        base += [stanza("busybox-static", Depends="toolchain"), stanza("toolchain")]
        base += [stanza("base-files", Essential="yes", Depends="libc6"), stanza("libc6")]
        suites = {
            distribution.suite: [*base, *main],
            f"{distribution.suite}-security": list(security),
        }
        write_archive(
            root,
            distribution,
            key,
            suites,
            architecture=DPKG_ARCHITECTURE[recipe.architecture],
            **({} if date is None else {"date": date}),
        )
        return root

    return write
