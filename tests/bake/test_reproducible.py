"""The same bytes wherever a bake runs: here on layers that are there, there from nothing,
as somebody else, on another file system.
"""

import os
import shutil
import subprocess
import tempfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from ingot.bake.engine import bake, read_manifest
from ingot.bake.job import BakeDirectories, BakeJob
from ingot.bake.packages.cache import package_file
from tests.baked import ROOT, WEB
from tests.specs import step

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounts, and becomes another user"),
]
USER = "nobody"  # every machine has it, and it owns nothing
# /usr/bin/python3 and not the one of these tests: that may lie where only root may look. The engine needs no
# more than Python 3.9.
PYTHON = "/usr/bin/python3"
BAKE = """
from pathlib import Path
from ingot.bake.engine import bake, read_manifest
from ingot.bake.job import BakeDirectories, BakeJob
from ingot.bake.runtime.rights import remove_tree
from ingot.spec import read_spec
public, here = Path("PUBLIC"), Path.cwd() / "an other, place:with: odd  name"
here.mkdir()
directories = BakeDirectories(public / "recipe", public / "packages", here / "layers", here / "out")
bake(BakeJob(read_spec((public / "spec.json").read_text()), directories), progress=str)
print(read_manifest(here / "out")["disk"]["root_digest"])
print(sorted(path.name for path in (here / "out").iterdir()))
print(len([path for path in (here / "layers").iterdir() if path.is_dir()]))
remove_tree(here)
"""
# A memory file system lists the newest name first, ext4 by a hash of it; the sources are copied there from
# the last name to the first.
HOSTILE = """
mount -t tmpfs -o mode=777 home "$1/home"
mount -t tmpfs -o mode=755 recipe "$1/recipe"
(cd "$3" && find . -mindepth 1 | sort -r | tar --create --no-recursion --files-from=-) |
    tar --extract --directory="$1/recipe"
mount --bind "$1/ids" /etc/subuid
mount --bind "$1/ids" /etc/subgid
mount --bind "$2" "$1/code"
hostname elsewhere
umask 077
cd "$1/home"
shift 3
exec "$@"
"""
PACKAGES = {
    # What is there already is dpkg's to decide: see Replaces.
    "taker": {
        "fields": "Replaces: libc-bin\n",
        "files": {"usr/share/libc-bin/nsswitch.conf": "taken\n", "usr/bin/taker": "x"},
    },
    "plain": {
        "fields": "Depends: taker\n",
        "files": {"usr/share/plain/file": "x", "usr/share/dbus-1/system.d/x": ""},
    },
}


@pytest.fixture(scope="module")
def public(baked_store, web_image):
    """A directory that everybody may look into, with the packages of the store and two
    more; pytest's own are root's alone.
    """
    place = Path(tempfile.mkdtemp(prefix="ingot-bake-"))
    try:
        for path in (place, *(place / name for name in ("code", "recipe", "home"))):
            path.mkdir(exist_ok=True)
            path.chmod(0o755)
        shutil.copytree(baked_store.packages.resolve(), place / "packages")
        (place / "ids").write_text(f"{USER}:300000:65536\n")
        yield place
    finally:
        shutil.rmtree(place)


@pytest.fixture
def spec(public, web_spec):
    """The bake spec of image_recipes/web with two additional packages."""
    packages = list(web_spec.packages)
    for name, what in PACKAGES.items():
        directory = public / name
        for path, text in what["files"].items():
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_text(text)
        (directory / "DEBIAN").mkdir()
        (directory / "DEBIAN/control").write_text(
            f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example.com>\n"
            f"{what['fields']}Description: one more\n"
        )
        deb = public / f"{name}.deb"
        subprocess.run(
            ["dpkg-deb", "--root-owner-group", "--build", directory, deb], check=True, capture_output=True
        )
        digest = sha256(deb.read_bytes()).hexdigest()
        target = package_file(public / "packages", digest)
        target.parent.mkdir(exist_ok=True)
        deb.rename(target)
        like = next(p for p in web_spec.packages if p.name == "adduser")
        packages.append(like._replace(name=name, version="1", sha256=digest, size=target.stat().st_size))
    # What a step sees of the machine is the same as well: the name, which a user namespace may not write
    # through /proc/sys.
    steps = (
        *web_spec.steps,
        step("test $(uname -n) = ingot-bake; test -e /boot/vmlinuz-$(uname -r); dpkg --verify"),
    )
    spec = replace(web_spec, packages=tuple(packages), steps=steps)
    (public / "spec.json").write_text(spec.text())
    return spec


def elsewhere(public):
    """Bake the spec from nothing in all other circumstances: as an ordinary user where
    this machine lets one.
    """
    words = ["unshare", "--mount", "--uts", "taskset", "--cpu-list", "0", "sh", "-euc", HOSTILE, "sh"]
    words += [str(public), str(ROOT), str(WEB)]
    if all(shutil.which(tool) for tool in ("newuidmap", "newgidmap", "setpriv")):
        words += ["setpriv", f"--reuid={USER}", "--regid=nogroup", "--clear-groups"]
    environment = {"PATH": os.defpath, "PYTHONPATH": str(public / "code"), "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= {"TZ": "Pacific/Kiritimati", "LC_ALL": "tr_TR.UTF-8", "HOME": "/nowhere"}
    return subprocess.run(
        [*words, PYTHON, "-c", BAKE.replace("PUBLIC", str(public))],
        env=environment, cwd="/", capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_bakes_here_on_what_is_there_and_elsewhere_from_nothing_give_the_same_bytes(
    web_image, baked_store, spec, public, tmp_path
):
    messages = []
    directories = BakeDirectories(WEB, public / "packages", baked_store.layers, tmp_path)
    bake(BakeJob(spec, directories), progress=messages.append)
    manifest = read_manifest(tmp_path)
    # Here only what was added is installed, on the layer of the web image.
    assert [text for text in messages if text.startswith("unpacking")] == ["unpacking 2 packages"]
    assert {p["name"] for p in manifest["packages"]} - {
        p["name"] for p in web_image.manifest["packages"]
    } == {*PACKAGES}
    files = {file["path"]: file for file in manifest["files"]}
    assert files["/usr/share/libc-bin/nsswitch.conf"]["sha256"] == sha256(b"taken\n").hexdigest()
    done = elsewhere(public)
    digest = manifest["disk"]["root_digest"]
    assert done.stdout.splitlines() == [digest, "['disk.raw', 'manifest.json']", "3"], done.stderr
    assert str(public) not in Path("/proc/self/mountinfo").read_text()
