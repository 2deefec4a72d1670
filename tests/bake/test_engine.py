"""Real bakes.

The layer below is made once (``web_image``) and shared by the tests of what goes wrong above it.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from ingot.bake.engine import bake, read_manifest
from ingot.bake.job import BakeDirectories, BakeJob
from ingot.bake.layers.lower import layer_digest
from ingot.bake.packages.cache import package_file
from ingot.errors import BakeError, SizeError, StepError
from ingot.pipeline.bake import compare, difference_text
from ingot.spec import AllowanceSpec, DropSpec, ServicesSpec
from tests.bake.conftest import root_offset
from tests.baked import ROOT, WEB
from tests.specs import step

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="looks into root's files and mounts"),
]
# Bakes the spec of argv into argv's directory; prints the root digest.
REBAKE = """
import sys
from pathlib import Path
from ingot.bake.engine import bake, read_manifest
from ingot.bake.job import BakeDirectories, BakeJob
from ingot.spec import read_spec
spec, out, packages, sources = read_spec(Path(sys.argv[1]).read_text()), *map(Path, sys.argv[2:])
directories = BakeDirectories(sources, packages, out / "layers", out / "out")
bake(BakeJob(spec, directories), progress=lambda text: None)
manifest = read_manifest(out / "out")
print(manifest["disk"]["root_digest"])
"""


@pytest.fixture
def again(web_image, baked_store, tmp_path):
    """Bakes a spec on the existing layer, into tmp_path/out."""

    def run(spec, *, output=tmp_path / "out", progress=lambda text: None, keep=False):
        directories = BakeDirectories(WEB, baked_store.packages, baked_store.layers, output)
        bake(BakeJob(spec, directories, keep), progress=progress)
        return read_manifest(output)

    return run


def mounts():
    return Path("/proc/self/mountinfo").read_text().splitlines()


def test_manifest_says_what_the_spec_said(web_image, web_spec):
    manifest = web_image.manifest
    assert manifest["recipe_digest"] == web_spec.recipe_digest == web_image.digest
    locked = {(p.name, p.version) for p in web_spec.packages if p.role == "install"}
    assert {(p["name"], p["version"]) for p in manifest["packages"]} == locked
    files = {file["path"]: file for file in manifest["files"]}
    assert (
        files["/srv/web/wsgi.py"]["sha256"] == hashlib.sha256((WEB / "app/wsgi.py").read_bytes()).hexdigest()
    )
    assert (files["/srv/web/wsgi.py"]["uid"], files["/srv/web/wsgi.py"]["mode"]) == (990, "0644")
    assert files["/etc/machine-id"]["size"] == 0
    assert "apache2.service" in manifest["services"]["enabled"]
    assert {"name": "app", "gid": 990, "members": []} in manifest["groups"]
    assert "app" in next(group for group in manifest["groups"] if group["name"] == "www-data")["members"]


def test_root_digest_is_that_of_the_blocks(web_image):
    digest = hashlib.sha256()
    with web_image.disk.open("rb") as disk:
        for expected in web_image.manifest["disk"]["blocks"]:
            block = disk.read(524288)
            assert (None if block.count(0) == len(block) else hashlib.sha256(block).hexdigest()) == expected
            digest.update(hashlib.sha256(block).digest())
        assert disk.read() == b""
    assert digest.hexdigest() == web_image.root_digest


def test_file_system_is_sound(web_image):
    check = ["e2fsck", "-f", "-n", f"{web_image.disk}?offset={root_offset(web_image.disk)}"]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_dpkg_finds_its_packages_whole(web_image, tree):
    found = {}
    for command in ("--audit", "--verify"):
        done = subprocess.run(["chroot", tree, "dpkg", command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        found[command] = done.stdout.splitlines()
    # Of all files of all packages two have another content: the configuration in whose place the recipe puts
    # its own.
    assert found == {
        "--audit": [],
        "--verify": [
            "??5?????? c /etc/apache2/conf-available/security.conf",
            "??5?????? c /etc/apache2/sites-available/000-default.conf",
        ],
    }


def take_inventory(tree):
    (tree / "run").mkdir(exist_ok=True)
    done = subprocess.run(
        ["chroot", tree, "/usr/lib/ingot/inventory", "--print"], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def test_the_inventory_in_the_image_equals_the_manifest(web_image, tree):
    found = take_inventory(tree)
    kernel = web_image.manifest["os"]["kernel"]
    system = (tree / "etc/os-release").read_bytes() + f"KERNEL={kernel}\n".encode()
    # The kernel that runs here is not the image's.
    found["sections"]["os"] = hashlib.sha256(system).hexdigest()
    assert found["sections"] == web_image.manifest["inventory"], found["differs"]
    assert (found["differs"], found["recipe"], found["digest"]) == ([], "web", web_image.digest)


def test_the_inventory_names_what_was_changed(web_image, tree):
    (tree / "srv/web/wsgi.py").write_text("changed\n")
    (tree / "srv/web/static/style.css").unlink()
    (tree / "etc/new \n file").write_text("")
    (tree / "usr/bin/perl").chmod(0o4755)
    (tree / "var/log/syslog").write_text("may change")
    found = take_inventory(tree)
    assert found["differs"] == [
        "/etc/new \\x0a file added",
        "/srv/web/static/style.css removed",
        "/srv/web/wsgi.py changed",
        "/usr/bin/perl changed",
    ]
    assert found["sections"]["files"] != web_image.manifest["inventory"]["files"]
    assert found["sections"]["users"] == web_image.manifest["inventory"]["users"]


def test_cached_layers_give_the_same_bytes_after_any_change(web_image, web_spec, again, tmp_path):
    other = replace(
        web_spec,
        steps=(step("rm -rf /usr/share/perl5; echo x > /etc/new; chmod 700 /etc"),),
        allowances=(AllowanceSpec("unit", "*", "r"), AllowanceSpec("broken-link", "*", "r")),
    )
    assert again(other, output=tmp_path / "other")["disk"]["root_digest"] != web_image.root_digest
    assert again(web_spec)["disk"]["root_digest"] == web_image.root_digest


def test_bakes_that_need_the_same_disk_of_the_layer_wait_for_each_other(web_spec, again, tmp_path):
    twin = replace(web_spec, name="twin")  # of which the layer has no disk yet
    with ThreadPoolExecutor(2) as pool:
        bakes = [pool.submit(again, twin, output=tmp_path / name) for name in "ab"]
        assert len({bake.result()["disk"]["root_digest"] for bake in bakes}) == 1


def test_a_step_that_writes_something_random_is_found_with_its_bytes(web_image, web_spec, again, tmp_path):
    spec = replace(web_spec, steps=(step("(echo fixed; head -c 16 /dev/urandom) > /etc/random"),))
    for name in "ab":
        again(spec, output=tmp_path / name)
    places = {place.what: place for place in compare(tmp_path / "a/disk.raw", tmp_path / "b/disk.raw")}
    # The image's own list of what the recipe changed has the digest of it.
    assert set(places) == {"/etc/random", "/usr/lib/ingot/baseline/image"}
    assert places["/etc/random"].inside >= len("fixed\n")
    assert 0 < places["/etc/random"].differing <= 16
    assert "    /etc/random: " in difference_text(list(places.values()))


def test_a_change_of_the_app_changes_few_blocks(web_image, web_spec, again, tmp_path):
    changed = tmp_path / "recipe"
    shutil.copytree(WEB, changed)
    (changed / "app/static/style.css").write_text("x" * 4096)
    digest = hashlib.sha256(b"x" * 4096).hexdigest()
    files = [f._replace(sha256=digest) if f.target.endswith("style.css") else f for f in web_spec.files]
    files = [f._replace(source=str(changed / f.source)) if f.source else f for f in files]
    manifest = again(replace(web_spec, files=tuple(files)))
    pairs = zip(web_image.manifest["disk"]["blocks"], manifest["disk"]["blocks"], strict=True)
    assert 0 < sum(old != new for old, new in pairs) <= 4


def test_a_failing_step_is_shown_with_its_line_status_and_output(web_spec, again, tmp_path):
    spec = replace(web_spec, steps=(step("echo before; echo to stderr >&2; exit 7", line=12),))
    before = mounts()
    with pytest.raises(StepError) as caught:
        again(spec)
    assert "recipe.yaml:12: the step `echo before; echo to stderr >&2; exit 7` failed: exit status 7" in str(
        caught.value
    )
    assert "before\n    to stderr" in str(caught.value)
    assert "without a network" in caught.value.hint
    assert list((tmp_path / "out").iterdir()) == []
    assert mounts() == before


def test_a_unit_that_is_not_there_is_named_with_its_place(web_spec, again):
    spec = replace(
        web_spec,
        services=ServicesSpec(enable=("apache2", "apche2")),
        unit_places={"enable apche2": "recipe.yaml:19:30"},
    )
    with pytest.raises(BakeError) as caught:
        again(spec)
    assert caught.value.message.startswith(
        "recipe.yaml:19:30: services: enable apache2 apche2: exit status 1\n"
    )
    assert "apche2.service does not exist" in caught.value.message
    assert caught.value.hint == "did you mean apache2?"


def test_keep_leaves_the_root_of_a_failed_bake(web_spec, again, tmp_path):
    spec = replace(web_spec, steps=(step("echo was here > /etc/trace; false"),))
    with pytest.raises(StepError, match=f"kept in {tmp_path}/out/root"):
        again(spec, keep=True)
    assert (tmp_path / "out/root/etc/trace").read_text() == "was here\n"


def test_a_step_that_hangs_is_ended_with_all_that_it_started(web_spec, again):
    mark = "86399.125"
    spec = replace(web_spec, steps=(step(f"sleep {mark} & sleep {mark}", timeout=1),))
    with pytest.raises(StepError, match="no end after 1 seconds"):
        again(spec)
    assert mark not in running()


def test_what_a_step_leaves_running_ends_with_it(web_spec, again):
    mark = "86398.125"
    waiting = "until grep -q sleep /proc/$!/comm; do :; done"
    spec = replace(web_spec, steps=(step(f"setsid sleep {mark} >/dev/null 2>&1 </dev/null &\n{waiting}"),))
    messages = []
    again(spec, progress=messages.append)
    assert mark not in running()
    assert "step 1 left processes running, which were ended: sleep" in messages


def running():
    return subprocess.run(["ps", "-eo", "args="], capture_output=True, text=True, check=True).stdout


# Listens on loopback, and connects there.
TALK = (
    'my $server = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1") or die $!;'
    'IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $server->sockport) or die $!'
)


def test_a_step_sees_nothing_of_the_builder(web_spec, again, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    checks = [
        'test -z "${AWS_SECRET_ACCESS_KEY-}"',
        'test "$(hostname)" = ingot-bake',
        "test \"$(tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' ')\" = lo",
        'test "$(wc -l </proc/net/route)" -le 1',
        f"perl -MIO::Socket::INET -e '{TALK}'",
        'test "$(umask)" = 0022',
        'test "$(id -u)" = 0',
        'test "$TZ $LC_ALL" = "UTC C.UTF-8"',
        "test ! -e /dev/nvme0 && test ! -e /dev/vda && test -c /dev/null",
    ]
    messages = []
    again(replace(web_spec, steps=(step("\n".join(checks)),)), progress=messages.append)
    assert [text for text in messages if text.startswith("step 1 of 1: test -z")]


def test_a_missing_package_is_named(web_spec, baked_store, web_image, tmp_path):
    packages = tmp_path / "packages"
    shutil.copytree(baked_store.packages, packages, copy_function=os.link)
    apache = next(package for package in web_spec.packages if package.name == "apache2")
    package_file(packages, apache.sha256).unlink()
    directories = BakeDirectories(WEB, packages, tmp_path / "layers", tmp_path / "out")
    with pytest.raises(BakeError, match=f"package apache2 {apache.version}".replace("+", r"\+")):
        bake(BakeJob(web_spec, directories), progress=print)
    assert [path.suffix for path in (tmp_path / "layers").iterdir()] == [".lock"]
    assert list((tmp_path / "out").iterdir()) == []


def test_a_full_disk_is_a_clear_error_without_leftovers(web_spec, baked_store, web_image, tmp_path):
    spec, small = tmp_path / "spec.json", tmp_path / "small"
    spec.write_text(web_spec.text())
    small.mkdir()
    script = (
        'mount -t tmpfs -o size=60m small "$1"; shift; "$@"; echo "status $?"; find "$0" -not -name "*.lock"'
        " -mindepth 2"
    )
    bake_it = [sys.executable, "-c", REBAKE, str(spec), str(small), str(baked_store.packages), str(WEB)]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, str(small), str(small), *bake_it],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "No space left on device" in done.stderr
    assert "BakeError" in done.stderr
    assert "make room on that file system" in done.stderr
    assert len(done.stderr) < 4000  # tar names every file that it cannot write
    assert done.stdout.splitlines() == ["status 1"]


def test_content_larger_than_the_disk_is_refused(web_spec, again, tmp_path):
    with pytest.raises(SizeError):
        again(replace(web_spec, root_volume_size=256 << 20))
    assert list((tmp_path / "out").iterdir()) == []


def test_the_layer_below_is_found_by_what_it_is_made_of(web_spec):
    digest = layer_digest(web_spec)
    above = {"users": (), "files": (), "steps": (), "name": "other", "recipe_digest": "0" * 64}
    for key, value in above.items():
        assert layer_digest(replace(web_spec, **{key: value})) == digest
    below = {"packages": web_spec.packages[1:], "epoch": 1, "drop": DropSpec()}
    for key, value in below.items():
        assert layer_digest(replace(web_spec, **{key: value})) != digest
