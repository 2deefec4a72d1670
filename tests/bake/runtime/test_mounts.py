"""Mounting by system call, in a mount namespace of the test's own."""

import os
import subprocess
import sys

import pytest

from ingot.bake.engine import Worker
from tests import ROOT

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts as root")


@pytest.fixture
def apart(tmp_path):
    """Run lines of Python with mounts of their own, in an empty directory with an awkward
    name; return what they print.
    """
    place = tmp_path / "a, b:c\\d"
    place.mkdir()
    begin = (
        "import os, sys\nfrom pathlib import Path\nfrom ingot.bake.runtime import mounts\nhere ="
        f" Path({str(place)!r})\n"
    )

    def run(lines):
        done = subprocess.run(
            ["unshare", "--mount", "--propagation=private", sys.executable, "-c", begin + lines],
            env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_a_second_name_that_cannot_be_written(apart):
    out = apart("""
(here / "one").mkdir(); (here / "two").mkdir(); (here / "one/file").write_text("there")
mounts.bind(here / "one", here / "two")
mounts.make_read_only(here / "two")
print((here / "two/file").read_text())
try: (here / "two/file").write_text("x")
except OSError as error: print(error.strerror)
(here / "one/file").write_text("changed")
mounts.unmount(here / "two")
print(list((here / "two").iterdir()))
""")
    assert out == "there\nRead-only file system\n[]\n"


def test_all_below_goes_as_well_and_what_is_in_use_is_said(apart):
    out = apart("""
from ingot.process import CommandError
mounts.mount("tmpfs", here, "mode=755", nosuid=True)
(here / "in side").mkdir()
mounts.mount("tmpfs", here / "in side", "mode=700")
print(oct((here / "in side").stat().st_mode & 0o777), bool(os.statvfs(here).f_flag & os.ST_NOSUID))
file = (here / "in side/file").open("w")
try: mounts.unmount(here)
except CommandError as error: print(error.output, str(error).startswith("umount "))
mounts.detach(here)
print(os.path.ismount(here), list(here.iterdir()))
mounts.unmount(here)
""")
    assert out == "0o700 True\nDevice or resource busy True\nFalse []\n"


def test_what_cannot_be_mounted_is_said_with_its_place(apart):
    out = apart("""
from ingot.process import CommandError
try: mounts.bind(here / "nothing", here)
except CommandError as error: print(error.status, error.output, error.command[-1] == str(here))
""")
    assert out == "32 No such file or directory True\n"


def children():
    """The processes that this one has, those that nobody waited for included."""
    listed = subprocess.run(
        ["ps", "--ppid", str(os.getpid()), "-o", "pid=,args="], capture_output=True, text=True, check=True
    )
    return {line for line in listed.stdout.splitlines() if "ps --ppid" not in line}


def test_a_process_that_gets_no_job_ends(capfd):
    before = children()
    with Worker():
        assert children() > before
    assert children() == before
    assert capfd.readouterr() == ("", "")
