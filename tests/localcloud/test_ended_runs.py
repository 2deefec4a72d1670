"""A run of tests that is ended leaves neither a local cloud nor a machine, however it was started."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT
from tests.localcloud.conftest import processes
from tests.localcloud.test_server import environ, wait_until
from tests.served import free_port

# One cloud is in the tests' own process, the other a daemon; each has a machine that stays in its firmware.
RUN = """
import os, signal, subprocess, sys
from pathlib import Path

from ingot import cloud_record
from tests.localcloud.conftest import launch, register_empty
from tests.localcloud.test_server import launch_empty


def test_that_never_ends(machine_cloud):
    launch(machine_cloud.client, register_empty(machine_cloud.client), "here")
    subprocess.run([sys.executable, "-m", "localcloud", "up", "--port", os.environ["PORT"]], check=True)
    launch_empty(cloud_record.running().environment)
    Path("begun").write_text(str(machine_cloud.context.directory))
    while True:
        signal.pause()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "workers"),
    [(signal.SIGTERM, ("-n", "1")), (signal.SIGTERM, ("-p", "no:xdist")), (signal.SIGKILL, ("-n", "1"))],
    ids=["ended with workers", "ended", "killed with workers"],
)
def test_nothing_outlives_a_run(number: signal.Signals, workers: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "test_run.py").write_text(RUN)
    environment = {**os.environ, "INGOT_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
    environment |= {"PORT": str(free_port()), "INGOT_URL_PORT": str(free_port())}
    for name in ("PYTEST_CURRENT_TEST", "PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT"):
        environment.pop(name, None)
    plugins = ("-p", "tests.conftest", "-p", "tests.localcloud.conftest")
    command = [sys.executable, "-m", "pytest", "-q", *plugins, *workers, "--basetemp", str(tmp_path / "temp")]
    log = tmp_path / "log"
    with log.open("wb") as out:
        run = subprocess.Popen(
            [*command, "test_run.py"], cwd=tmp_path, env=environment, stdout=out, stderr=out
        )
    try:
        begun = tmp_path / "begun"
        wait_until(lambda: begun.exists() or run.poll() is not None, seconds=180)
        assert run.poll() is None, log.read_text()
        here, daemon = Path(begun.read_text()), tmp_path / "home/cloud"
        wait_until(lambda: bool(processes(here)) and bool(processes(daemon)))
        run.send_signal(number)
        run.wait()
        wait_until(lambda: left(tmp_path) == [] and processes(here) == processes(daemon) == [])
    finally:
        run.kill()
        run.wait()


def left(directory: Path) -> list[str]:
    """Return the processes that were started with the run's home."""
    mark = f"INGOT_HOME={directory / 'home'}".encode()
    return [p.name for p in Path("/proc").glob("[0-9]*") if mark in environ(p).split(b"\0")]
