"""The programs of tools/, with an `ingot` that only ends as it is told."""

import os
import subprocess
from pathlib import Path

import pytest

UP = Path(__file__).parent.parent / "tools" / "up"


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
