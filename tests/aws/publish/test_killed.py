"""A publish that is killed: SIGTERM cleans up at once; after SIGKILL the next publish does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from ingot.aws.publish.publish import publish
from tests import ROOT
from tests.aws.support import holdings, make_image, result_line

PROGRAM = """
import json, sys
from pathlib import Path
import boto3
from ingot.aws.session.clients import Clients
from ingot.aws.publish.publish import publish
from ingot.aws.publish.settings import CloneSettings, PublishSettings
from tests.aws.conftest import KEYS
from tests.aws.support import SmallImage

given = json.load(sys.stdin)
clients = Clients(boto3.Session(**KEYS), endpoint_url=given["endpoint"])
clone = CloneSettings(given["template"], tuple(given["subnets"]), limit=600.0)
image = SmallImage(Path(given["disk"]), given["manifest"], given["digest"])
publish(image, clients, PublishSettings(Path(given["records"]), clone, pace=0.01), print)
"""


def quiet(_message):
    """Progress that nobody reads."""


def start(image, proxy, settings):
    given = {
        "endpoint": proxy.url,
        "template": settings.clone.launch_template_id,
        "subnets": settings.clone.subnet_ids,
        "disk": str(image.disk),
        "manifest": image.manifest,
        "digest": image.digest,
        "records": str(settings.records),
    }
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    process.stdin.write(json.dumps(given))
    process.stdin.close()
    return process


def end_of(process):
    process.wait(timeout=600)
    output = process.stdout.read() + process.stderr.read()
    process.stdout.close()
    process.stderr.close()
    return process.returncode, output


KILLED_AT = [
    "StartSnapshot",
    "PutSnapshotBlock",
    "CompleteSnapshot",
    "RegisterImage",
    "RunInstances",
    "CreateTags",
]


@pytest.mark.parametrize("operation", KILLED_AT)
def test_after_a_kill_the_next_publish_starts_clean(
    operation, tmp_path, clients, direct, proxy, settings, passing
):
    image = passing(make_image(tmp_path, ["a", None, *"bcdef"]))
    process = None
    # Killed when AWS has done the work and before its answer arrives: no journal can know of the resource.
    proxy.fail(operation, lost=True, times=1, then=lambda: os.kill(process.pid, signal.SIGKILL))
    process = start(image, proxy, settings)
    status, _ = end_of(process)
    assert status == -signal.SIGKILL
    left = holdings(direct)
    assert left["snapshots"], "the kill came too early to leave something"
    published = publish(image, clients, settings, quiet)
    found = holdings(direct)
    assert (found["snapshots"], found["images"]) == ([published.snapshot_id], [published.ami_id])
    assert "instances" not in found
    if operation == "CreateTags":
        # It had passed its tests: continued, not repeated.
        assert [published.ami_id] == left["images"]
    assert not list(settings.records.rglob("*.json"))


def test_the_publish_of_the_next_digest_removes_the_dead_one_too(
    tmp_path, clients, direct, proxy, settings, passing
):
    old = passing(make_image(tmp_path, ["a", "b"], name="old"))
    process = None
    proxy.fail("RegisterImage", lost=True, times=1, then=lambda: os.kill(process.pid, signal.SIGKILL))
    process = start(old, proxy, settings)
    end_of(process)
    assert holdings(direct)["images"]
    new = passing(make_image(tmp_path, ["a", "c"], name="new"))
    published = publish(new, clients, settings, quiet)
    found = holdings(direct)
    assert (found["snapshots"], found["images"]) == ([published.snapshot_id], [published.ami_id])


def test_sigterm_removes_everything_before_the_process_ends(
    tmp_path, clients, direct, proxy, settings, passing
):
    image = passing(make_image(tmp_path, ["a", "b", "c"]))
    process = None
    proxy.console = lambda _instance: os.kill(process.pid, signal.SIGTERM) or "booting"
    process = start(image, proxy, settings)
    _, output = end_of(process)
    assert "KeyboardInterrupt" in output
    assert holdings(direct) == {}
    assert not list(settings.records.rglob("*.json"))
    proxy.console = lambda _instance: result_line(image)
    assert publish(image, clients, settings, quiet).ami_id
