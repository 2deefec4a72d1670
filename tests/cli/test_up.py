"""`ingot up`: what it needs before it starts anything, and what it says when it does not get to the end.

tests/examples/test_new_project.py has the way to its end.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.served import free_port

BIN = Path(sys.executable).parent


@pytest.fixture
def project(tmp_path):
    """A directory with the marks of a CDK app, and a CDK CLI that the test writes."""
    (tmp_path / "my" / "node_modules" / ".bin").mkdir(parents=True)
    (tmp_path / "my" / "cdk.json").write_text("{}")
    return tmp_path / "my"


def program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def ingot(project: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    home = project.parent / "home"
    own = {"INGOT_HOME": str(home), "INGOT_CLOUD_PORT": os.environ.get("INGOT_CLOUD_PORT", "0"), **environ}
    return subprocess.run(
        [BIN / "ingot", *words],
        cwd=project,
        env=os.environ | own,
        capture_output=True,
        text=True,
        check=False,
    )


def test_outside_of_a_project_nothing_is_started(tmp_path):
    (tmp_path / "my").mkdir()
    done = ingot(tmp_path / "my", "up")
    assert done.returncode == 2
    assert done.stderr == (
        f"error: there is no cdk.json in {tmp_path}/my\n"
        "  hint: run this where app.py and cdk.json are, or start a project with: ingot init DIRECTORY\n"
    )
    assert not (tmp_path / "home").exists()


def test_everything_that_is_missing_is_named_at_once(project, tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    # /usr/sbin and /sbin count as well: what is there is not missing.
    done = ingot(project, "up", PATH=str(tools))
    assert done.returncode == 3
    missing, hint = done.stderr.splitlines()
    assert missing.startswith(
        "error: this machine lacks what is needed to bake and boot images: apt-get, dpkg-deb, "
    )
    assert hint.startswith("  hint: install it with: sudo apt-get install apt dpkg gpg gpgv mmdebstrap ")
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("script", "status", "said"),
    [
        ("exit 7", 1, "error: cdk bootstrap failed with exit status 7; see its output above"),
        ("kill -INT $PPID; exit 1", 128 + signal.SIGINT, "error: interrupted"),
    ],
)
def test_who_ends_it_is_told_that_the_local_cloud_still_runs(script, status, said, project):
    program(project / "node_modules" / ".bin" / "cdk", script)
    port = {"INGOT_CLOUD_PORT": str(free_port())}
    try:
        done = ingot(project, "up", **port)
        assert done.returncode == status, done.stderr
        assert "Not finished. The local cloud still runs" in done.stderr
        assert done.stderr.splitlines()[-1] == said
    finally:
        assert ingot(project, "down", **port).returncode == 0


def test_a_port_that_is_none_is_refused(project):
    program(project / "node_modules" / ".bin" / "cdk", "exit 0")
    done = ingot(project, "up", INGOT_CLOUD_PORT="http")
    assert done.returncode == 2
    assert done.stderr == "error: INGOT_CLOUD_PORT: 'http' is not a port from 1 to 65535\n"


def test_version():
    done = subprocess.run([BIN / "ingot", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("ingot 0.")
