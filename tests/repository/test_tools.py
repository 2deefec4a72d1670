"""The programs of tools/, with an `ingot` that only ends as it is told."""

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

TOOLS = Path(__file__).parent.parent.parent / "tools"
UP = TOOLS / "up"


@pytest.mark.parametrize(
    ("fails", "status", "said"), [("nothing", 0, False), ("deploy", 130, True), ("cloud", 1, False)]
)
def test_who_ends_make_up_is_told_that_the_cloud_still_runs(fails, status, said, tmp_path):
    for name, script in {
        "ingot": f'[ "$1" != {fails} ] || exit {status}',
        "python": "exit 0",
    }.items():
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    environ = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run([UP], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    assert ("The local cloud still runs" in done.stderr) is said


def test_without_the_local_clouds_environment_nothing_is_deployed(tmp_path):
    """The deployment would go to whatever account the caller's own credentials are for."""
    script = f'echo "$*" >> {tmp_path}/called; [ "$1 $2" != "cloud env" ]'
    for name, text in {"ingot": script, "python": "exit 0"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    environ = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run([UP], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert (tmp_path / "called").read_text().splitlines() == ["cloud up", "cloud env"]


@pytest.fixture
def open_directory():
    """A directory that every user reaches: pytest's own are root's alone."""
    with tempfile.TemporaryDirectory(prefix="ingot-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_setup_without_root_and_sudo_says_what_it_needs(open_directory):
    """As nobody, on a machine that has apt-get and lacks every package."""
    script = open_directory / "project" / "tools" / "setup"
    script.parent.mkdir(parents=True)
    script.write_bytes((TOOLS / "setup").read_bytes())
    programs = open_directory / "bin"
    programs.mkdir()
    for name in ("bash", "env", "id", "dirname", "sed", "cat"):
        (programs / name).symlink_to(f"/usr/bin/{name}")
    for name in ("apt-get", "dpkg-query"):
        (programs / name).write_text("#!/bin/bash\nexit 1\n")
    for path in (script, programs / "apt-get", programs / "dpkg-query"):
        path.chmod(0o755)
    done = subprocess.run(
        [script], env={"PATH": str(programs)}, user="nobody", capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert "setup: needs root or sudo to install: python3-venv " in done.stderr
