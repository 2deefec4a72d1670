"""Progress goes on where one of its outputs does not; what the machine refuses is said in words."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ingot.cli.terminal.reporting import Reporter, printable
from tests.baked import ROOT


def test_a_log_on_a_full_disk_does_not_end_the_work(capsys):
    with Reporter(log=Path("/dev/full")) as report:
        report("one")
        report("two")
    assert [line.split("s  ")[1] for line in capsys.readouterr().err.splitlines()] == ["one", "two"]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")
def test_a_full_disk_is_said_in_words_and_not_as_a_traceback(tmp_path):
    script = 'mount -t tmpfs -o size=4k,nr_inodes=3 full "$1"; shift; exec "$@"'
    bake = [sys.executable, "-m", "ingot.cli.main", "bake", "web"]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", str(tmp_path), *bake],
        cwd=ROOT,
        env={**os.environ, "INGOT_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {tmp_path}/store/")
    assert "No space left on device" in done.stderr
    assert "`ingot store gc`" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "text",
    [
        "::add-mask::x",
        "  ::error::x",
        "\t::error::x",
        "one\n\n  ::error::x",
        "  one ##[add-mask]x",
        "one\r::x::",
        ":::x::",
    ],
)
def test_output_of_programs_gives_a_runner_no_command(text, capsys):
    """GitHub's runner trims blanks before "::", and finds "##[" anywhere: actions/runner,
    ActionCommand.cs.
    """
    with Reporter() as report:
        report(text)
    for said in (printable(text), capsys.readouterr().err):
        assert not any(line.lstrip().startswith("::") for line in said.replace("\r", "\n").split("\n"))
        assert "##[" not in said
        assert "x" in said


def test_colons_and_hashes_elsewhere_stay():
    text = "std::vector\n  a ::1 b\n## heading [x]"
    assert printable(text) == text
