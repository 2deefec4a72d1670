"""`ingot deploy` that is interrupted: what it started cleans up, and it says what goes on in AWS."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress

import pytest

from ingot.aws.session.waiting import wait_until
from tests.cli.test_deploy import project, publish_image

__all__ = ["project"]

# `ingot`, but that its publish only waits, and needs a moment to clean up.
INGOT = """
import os, signal, sys, time
from pathlib import Path

from ingot.cli.main import main
from ingot.pipeline import deploy

def publish(*_):
    here = Path(os.environ["RECORDS"])
    try:
        (here / "publishing").touch()
        signal.pause()
    finally:
        time.sleep(1)
        (here / "cleaned").touch()

deploy.load_target = lambda options: None
deploy.publish_recipe = publish
main(sys.argv[1:])
"""


@contextmanager
def deploying(**options):
    """Run the command in a session of its own, which ends when the block fails: `Popen`
    would wait for it without end.
    """
    command = [sys.executable, "-c", INGOT, "deploy"]
    with subprocess.Popen(command, start_new_session=True, **options) as child:
        try:
            yield child
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            raise


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_publish_may_clean_up(project, kind):
    with deploying(stderr=subprocess.PIPE, text=True) as child:
        wait_until((project / "publishing").exists, "the publish to start", limit=120)
        # Ctrl-C reaches the whole process group of the terminal; SIGTERM one process.
        (os.killpg if kind == signal.SIGINT else os.kill)(child.pid, kind)
        _, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert (project / "cleaned").exists()
    assert err.endswith("error: interrupted\n")


def test_an_interrupted_deployment_says_that_it_goes_on_in_aws(project, monkeypatch):
    publish_image()
    monkeypatch.setenv("HANG_CDK", "1")
    with deploying(stderr=subprocess.PIPE, text=True) as child:
        wait_until((project / "deploying").exists, "cdk to start", limit=120)
        os.killpg(child.pid, signal.SIGINT)
        _, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert (
        err.count("error: interrupted\n  hint: AWS continues a deployment that has begun; `ingot status`")
        == 1
    )
    assert "Traceback" not in err
