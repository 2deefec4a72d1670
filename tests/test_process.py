"""Running other programs: their output, their failure, and what is not there."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from ingot.errors import MissingToolError
from ingot.process import CommandError, read_from, run, run_attached, run_binary, start


@pytest.mark.parametrize("way", [run, run_binary, start, run_attached])
def test_a_program_that_is_missing_is_a_missing_tool(way):
    with pytest.raises(MissingToolError, match="no-such-tool is missing on this machine") as caught:
        way(["no-such-tool", "--help"])
    assert caught.value.exit_code == 3


def test_a_directory_that_is_missing_is_no_missing_tool(tmp_path):
    with pytest.raises(FileNotFoundError):
        run(["true"], cwd=tmp_path / "none")


def test_output_is_text_or_bytes_and_input_either(tmp_path):
    assert run(["cat"], input="a\n").stdout == "a\n"
    assert run_binary(["cat"], input=b"\xff\0").stdout == b"\xff\0"
    (tmp_path / "file").write_bytes(b"of a file")
    with (tmp_path / "file").open("rb") as file:
        assert run_binary(["cat"], input=file).stdout == b"of a file"
    assert run_binary(["cat"]).stdout == b""


@pytest.mark.parametrize("way", [run, run_binary])
def test_a_failure_carries_status_and_output(way):
    with pytest.raises(CommandError, match="exit status 3\n    it says why") as caught:
        way(["sh", "-c", "echo it says why >&2; exit 3"])
    assert caught.value.status == 3
    assert way(["sh", "-c", "exit 3"], check=False).returncode == 3


def test_what_is_read_in_part_ends():
    with read_from(["yes"]) as program:
        assert program.stdout.readline() == b"y\n"
    assert program.returncode == -signal.SIGPIPE


def test_a_program_on_the_terminal_gets_sigterm_and_is_waited_for(tmp_path):
    text = (
        "import pathlib, signal, sys, time\n"
        "def clean_up(*_):\n"
        "    time.sleep(1)\n"
        f"    pathlib.Path({str(tmp_path / 'cleaned')!r}).touch()\n"
        "    sys.exit(7)\n"
        "signal.signal(signal.SIGTERM, clean_up)\n"
        f"pathlib.Path({str(tmp_path / 'ready')!r}).touch()\n"
        "signal.pause()\n"
    )

    def terminate():
        while not (tmp_path / "ready").exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=terminate)
    thread.start()
    before = signal.getsignal(signal.SIGTERM)
    assert run_attached([sys.executable, "-c", text], stdout=subprocess.DEVNULL) == 7
    thread.join()
    assert (tmp_path / "cleaned").exists()
    assert signal.getsignal(signal.SIGTERM) == before
