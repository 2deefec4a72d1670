"""Programs of others, as their users run them, against the local cloud.

They are in virtual environments of their own: what they require is not what Ingot requires.
"""

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests import ROOT
from tests.localcloud.conftest import LocalCloud

Run = Callable[..., subprocess.CompletedProcess[str]]


def runner(cloud: LocalCloud, programs: Path, home: Path, more: Mapping[str, str]) -> Run:
    """Return a function that runs a program of ``programs`` with the cloud's environment, as a user does."""
    environment = {
        **{name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ},
        **cloud.variables,
        **more,
        "HOME": str(home),
        "PATH": f"{programs}:/usr/bin:/bin",
    }

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, cwd=home, env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.fixture
def clients(local_cloud: LocalCloud, tmp_path: Path) -> Run:
    """Run the aws CLI, or dsnap."""
    programs = ROOT / ".venv/clients/bin"
    assert (programs / "aws").exists(), "run tools/setup --tests"
    return runner(local_cloud, programs, tmp_path, {})
