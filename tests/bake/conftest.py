import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from ingot.recipe.compile import compile_spec
from ingot.recipe.load import load_recipe
from tests.bake.ordinary import USER
from tests.baked import WEB, baked_store, web_image

__all__ = ["baked_store", "web_image"]


@pytest.fixture
def root(tmp_path):
    """The smallest tree that accounts and files can be put into."""
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33::/var/www:/usr/sbin/nologin\n"
    )
    (root / "etc/group").write_text("root:x:0:\nwww-data:x:33:\n")
    (root / "etc/shadow").write_text("root:*:19000:0:99999:7:::\nwww-data:*:19000:0:99999:7:::\n")
    (root / "etc/shadow").chmod(0o640)
    (root / "etc/gshadow").write_text("root:*::\nwww-data:*::\n")
    return root


@pytest.fixture
def public():
    """A directory that the ordinary user may use: pytest's own are root's alone."""
    place = Path(tempfile.mkdtemp(prefix="ingot-user-"))
    for path in (place, *(place / name for name in ("code", "home"))):
        path.mkdir(exist_ok=True)
        path.chmod(0o755)
    shutil.chown(place / "home", USER)
    yield place
    shutil.rmtree(place)


@pytest.fixture
def web_spec():
    """The bake spec of image_recipes/web."""
    return compile_spec(load_recipe(WEB))


@pytest.fixture(scope="module")
def read_back(web_image, tmp_path_factory):
    """The root file system of the finished disk, read back from it, and ready for chroot."""
    offset = root_offset(web_image.disk)
    copy = tmp_path_factory.mktemp("read-back") / "tree"
    copy.mkdir()
    names = subprocess.run(
        ["debugfs", "-R", "ls -p /", f"{web_image.disk}?offset={offset}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    top = [line.split("/")[5] for line in names if line.count("/") > 5]
    script = "".join(f"rdump /{name} {copy}\n" for name in top if name not in (".", "..", "lost+found"))
    subprocess.run(
        ["debugfs", "-f", "-", f"{web_image.disk}?offset={offset}"],
        input=script,
        capture_output=True,
        text=True,
        check=True,
    )
    copy.chmod(0o755)
    # debugfs sets the owner after the mode, which clears these two bits; the disk's own tests look at them.
    for file in web_image.manifest["files"]:
        if int(file["mode"], 8) & 0o6000:
            (copy / file["path"][1:]).chmod(int(file["mode"], 8))
    return copy


# What a test may change in the tree. A copy of all of it for each test would take longer than the tests.
CHANGEABLE = ("usr/lib/ingot", "usr/bin/true", "usr/bin/systemctl", "usr/bin/systemd-run")


@pytest.fixture
def tree(read_back, tmp_path):
    """The tree itself, of which a test may change CHANGEABLE and what lies in /dev and /run."""
    kept = tmp_path / "kept"
    for path in CHANGEABLE:
        (kept / path).parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "--archive", read_back / path, kept / path], check=True)
    yield read_back
    for path in CHANGEABLE:
        subprocess.run(["rm", "--recursive", read_back / path], check=True)
        subprocess.run(["cp", "--archive", kept / path, read_back / path], check=True)
    for directory in ("dev", "run"):
        shutil.rmtree(read_back / directory)
        (read_back / directory).mkdir()


def root_offset(disk):
    table = json.loads(
        subprocess.run(["sfdisk", "--json", disk], capture_output=True, text=True, check=True).stdout
    )
    return table["partitiontable"]["partitions"][1]["start"] * 512
