"""What travels to a builder runs with the oldest Python that a base may have."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests import ROOT

OLDEST = next(
    (str(path) for path in sorted(Path.home().glob(".pyenv/versions/3.9.*/bin/python"))),
    shutil.which("python3.9"),
)


@pytest.mark.skipif(OLDEST is None, reason="there is no Python 3.9")
def test_it_loads_with_python_3_9():
    modules = "ingot.bake.instance.__main__, ingot.bake.instance.live, ingot.bake.worker"
    done = subprocess.run(
        [OLDEST, "-B", "-c", f"import {modules}; print('loaded')"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if "pyenv: " in done.stderr:
        pytest.skip("python3.9 is a name without a Python")
    assert done.stdout == "loaded\n", done.stderr
