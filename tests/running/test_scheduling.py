"""Files with slow tests run beside quick ones."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests import ROOT

QUICK = "import pytest\n\n@pytest.mark.parametrize('number', range(3))\ndef test_it(number):\n    pass\n"
SLOW = QUICK + "\npytestmark = pytest.mark.slow\n"


def test_one_of_two_workers_begins_with_the_slow_files_the_other_with_the_quick_ones(tmp_path: Path) -> None:
    files = {"test_a.py": QUICK, "test_b.py": QUICK, "test_c.py": SLOW, "test_d.py": SLOW}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for name in ("PYTEST_CURRENT_TEST", "PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT"):
        environment.pop(name, None)
    options = ("-v", "-n", "2", "--dist", "loadfile", "--no-loadscope-reorder", "-o", "markers=slow")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", *options, *files],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    ran = re.findall(r"\[(gw\d)\] .* PASSED (test_\w\.py)", done.stdout)
    assert {file for _, file in ran} == set(files)
    first = dict(reversed(ran))  # of each worker
    assert sorted(first.values()) == ["test_a.py", "test_c.py"]
