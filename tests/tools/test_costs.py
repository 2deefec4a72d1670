"""The account of `make costs` holds what tests start, and it is each test's own."""

import os
import re
import subprocess
import sys

import pytest

from tests import ROOT

RUN = """
import subprocess, sys


def test_idle():
    pass


def test_busy():
    subprocess.run([sys.executable, "-c", "import time\\nwhile time.process_time() < 0.5: pass"], check=True)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a control group")
@pytest.mark.parametrize("workers", [("-n", "1"), ("-p", "no:xdist")], ids=["with a worker", "without"])
def test_a_test_costs_what_it_starts(workers, tmp_path):
    (tmp_path / "test_run.py").write_text(RUN)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for name in ("PYTEST_CURRENT_TEST", "PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT"):
        environment.pop(name, None)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.running.costs", *workers, "test_run.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    found = re.findall(r"^ +([\d.]+) +[\d.]+  test_run\.py(\S*)$", done.stdout, re.MULTILINE)
    taken = {name: float(seconds) for seconds, name in found}
    assert set(taken) == {"", "::test_idle", "::test_busy"}, done.stdout
    assert taken["::test_busy"] >= 0.5 > taken["::test_idle"]
    assert taken[""] == pytest.approx(taken["::test_busy"] + taken["::test_idle"], abs=0.2)
