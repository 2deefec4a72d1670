"""The test clone: the AMI is launched, runs the recipe's tests, says how they went, and is terminated."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ingot.aws.builder import console
from ingot.aws.builder.instance import instance_state
from ingot.aws.builder.launch import TEMPLATE_ROOT, launch, root_mappings
from ingot.aws.publish import ami
from ingot.aws.publish.image import Subject
from ingot.aws.publish.settings import CloneSettings
from ingot.aws.session.waiting import wait_until
from ingot.errors import PublishError
from ingot.progress import Progress

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import EbsBlockDeviceTypeDef

    from ingot.aws.session.clients import Clients

# As in the launch template: ingot/constructs/machines.py.
ROOT_VOLUME: EbsBlockDeviceTypeDef = {"VolumeType": "gp3", "DeleteOnTermination": True, "Encrypted": True}
# Seconds that a clone lives beyond its limit: then it powers off by itself, which terminates it, if nobody is there to do it.
GRACE = 900
# Seconds between two looks at the console; EC2 throttles GetConsoleOutput earlier than most calls.
LOOK_EVERY = 5.0
REPORT_EVERY = 15.0


def launch_clone(
    clients: Clients, subject: Subject, ami_id: str, settings: CloneSettings, publish_id: str
) -> str:
    """Launch a clone in the first subnet that has room; return its instance id."""
    # Of the AMI itself: one on a base AMI has the base's root device, and one that is adopted was not registered here.
    image = ami.describe(clients, ami_id)
    device = TEMPLATE_ROOT if image is None else image.get("RootDeviceName", TEMPLATE_ROOT)
    return launch(
        clients,
        template_id=settings.launch_template_id,
        ami_id=ami_id,
        subnet_ids=settings.subnet_ids,
        user_data=json.dumps({"ingot": {"test": True, "end": int(settings.limit) + GRACE}}),
        told=subject.tags(publish_id) | {"Name": f"ingot test of {subject.recipe} {subject.version}"},
        token=publish_id,
        mappings=() if device == TEMPLATE_ROOT else root_mappings(device, ROOT_VOLUME),
    )


@dataclass
class _Watch:
    """What was last seen of the clone."""

    clients: Clients
    instance_id: str
    text: str = ""
    state: str = "pending"
    reason: str = ""

    def said(self) -> bool:
        """Look; say whether there is nothing more to wait for: the result is there, or the clone is dead."""
        self.state, self.reason = instance_state(self.clients, self.instance_id)
        # Read after the state: a clone that ended may have written its last line just before.
        self.text = console.read_console(self.clients, self.instance_id) or self.text
        return (
            console.last_line(self.text, console.TEST) is not None
            or console.PANIC in self.text
            or self.state not in ("pending", "running")
        )


def await_verdict(
    clients: Clients, subject: Subject, instance_id: str, settings: CloneSettings, progress: Progress
) -> None:
    """Wait for the clone's result; raise PublishError unless every test passed on this very image.

    The wait ends with the result, with the clone's death, or after the settings' limit.
    """
    watch = _Watch(clients, instance_id)
    reported = 0.0

    def tick(waited: float) -> None:
        nonlocal reported
        if waited - reported >= REPORT_EVERY:
            reported = waited
            last = console.tail(watch.text, 1).strip()[:100]
            progress(f"test clone {instance_id}: {watch.state} for {waited:.0f} s: {last}")

    try:
        wait_until(
            watch.said,
            f"the tests' result from {instance_id}",
            limit=settings.limit,
            longest=LOOK_EVERY,
            tick=tick,
        )
    except TimeoutError as error:
        raise _failure(f"the test clone {instance_id} did not report: {error}", watch.text) from error
    result = console.last_line(watch.text, console.TEST)
    if result is None:
        if console.PANIC in watch.text:
            raise _failure(f"the kernel of the test clone {instance_id} panicked", watch.text)
        why = f" ({watch.reason})" if watch.reason else ""
        raise _failure(f"the test clone {instance_id} is {watch.state}{why} and never reported", watch.text)
    _judge(subject, instance_id, result, watch.text)
    _compare_inventory(subject, instance_id, watch.text)


def _judge(subject: Subject, instance_id: str, result: dict[str, Any], text: str) -> None:
    """Raise PublishError unless the result is of this image and all its tests passed."""
    if result.get("digest") != subject.digest:
        raise _failure(f"{instance_id} says it is {result.get('digest')}; expected {subject.digest}", text)
    results = [entry for entry in result.get("results", []) if isinstance(entry, dict)]
    failed = [
        f"  {entry.get('name')}: {entry.get('detail')}" for entry in results if entry.get("ok") is not True
    ]
    if failed:
        raise _failure(
            f"{len(failed)} of {len(results)} tests failed on the test clone:\n" + "\n".join(failed), text
        )
    expected = {test["name"] for test in subject.manifest.get("tests", [])}
    absent = expected - {entry.get("name") for entry in results}
    if absent or result.get("ok") is not True:
        raise _failure(
            f"the test clone did not run: {', '.join(sorted(absent)) or 'its tests to the end'}", text
        )


def _compare_inventory(subject: Subject, instance_id: str, text: str) -> None:
    """Compare the clone's inventory with the manifest, when it came before the tests' result."""
    inventory = console.last_line(text, console.INVENTORY)
    if inventory is None:
        return
    expected = subject.manifest.get("inventory", {})
    found = inventory.get("sections", {})
    differing = sorted(name for name in expected if found.get(name) != expected[name])
    if differing:
        paths = "".join(f"\n  {path}" for path in inventory.get("differs", []))
        raise _failure(f"{instance_id} differs from its manifest in: {', '.join(differing)}{paths}", text)


def _failure(message: str, text: str) -> PublishError:
    return PublishError(f"{message}\n  the end of its console:\n{console.tail(text)}")
