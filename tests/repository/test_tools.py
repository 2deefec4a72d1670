"""The programs of tools/."""

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

TOOLS = Path(__file__).parent.parent.parent / "tools"


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
