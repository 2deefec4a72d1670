"""The test clone: the AMI is launched, runs the recipe's tests, says how they went, and is terminated."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ingot.aws.instances import console
from ingot.aws.instances.launch import (
    TEMPLATE_ROOT,
    LaunchRequest,
    data_mappings,
    instance_state,
    launch,
    root_mappings,
)
from ingot.aws.publish.cleanup.attempt import Attempt
from ingot.aws.publish.image import Subject
from ingot.aws.publish.publication import Publication
from ingot.aws.publish.settings import CloneSettings
from ingot.aws.registry import amis
from ingot.aws.session.waiting import wait_until
from ingot.errors import PublishError
from ingot.progress import Progress, beat

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import EbsBlockDeviceTypeDef

    from ingot.aws.session.clients import Clients

# As in the launch template: ingot/constructs/machines.py.
ROOT_VOLUME: EbsBlockDeviceTypeDef = {"VolumeType": "gp3", "DeleteOnTermination": True, "Encrypted": True}
# The smallest type by hvm that starts an AMI with its root on an instance store.
BIOS_TYPE = "m3.medium"
# Seconds that a clone lives beyond its limit. Then it powers off, which terminates it: whoever launched it
# may be gone.
GRACE = 900
# Seconds between two looks at the console; EC2 throttles GetConsoleOutput earlier than most calls.
LOOK_EVERY = 5.0
REPORT_EVERY = 15.0


def prove(publication: Publication, attempt: Attempt, ami_id: str, clone: CloneSettings) -> None:
    """Launch a test clone of the AMI and wait until it passes the recipe's tests; it is terminated in any
    case.

    Raises PublishError unless every test passed on this very image: the clone's result says otherwise, it
    died, or the settings' limit is over.
    """
    clients, subject, progress = publication.clients, publication.subject, publication.progress
    instance_id = _launch(clients, subject, ami_id, clone, attempt.publish_id)
    attempt.record("instance", instance_id)
    progress(f"test clone {instance_id} launched")
    # On a failure the attempt terminates the clone, before the AMI that it was launched from goes.
    console_text = _CloneWatch(clients, instance_id, clone, progress).follow()
    _judge(subject, instance_id, console_text)
    _compare_inventory(subject, instance_id, console_text)
    progress(
        f"test clone {instance_id} passed {len(subject.manifest.get('tests', []))} tests; terminating it"
    )
    attempt.release_instances()


def _launch(clients: Clients, subject: Subject, ami_id: str, settings: CloneSettings, publish_id: str) -> str:
    """Launch a clone in the first subnet that has room; return its instance id."""
    # Of the AMI itself: one on a base AMI has the base's root device, and one that is adopted was not
    # registered here.
    image = amis.describe(clients, ami_id)
    device = TEMPLATE_ROOT if image is None else image.get("RootDeviceName", TEMPLATE_ROOT)
    root = () if device == TEMPLATE_ROOT else root_mappings(device, ROOT_VOLUME)
    if subject.on_instance_store:
        root = ({"DeviceName": TEMPLATE_ROOT, "NoDevice": ""},)
    request = LaunchRequest(
        template_id=settings.launch_template_id,
        ami_id=ami_id,
        subnet_ids=settings.subnet_ids,
        user_data=json.dumps({"ingot": {"test": True, "end": int(settings.limit) + GRACE}}),
        tag_values=subject.tags(publish_id) | {"Name": f"ingot test of {subject.recipe} {subject.version}"},
        token=publish_id,
        mappings=(*root, *data_mappings(subject.manifest)),
        instance_type=BIOS_TYPE if subject.on_instance_store else None,
    )
    return launch(clients, request)


@dataclass
class _CloneWatch:
    """A look at the clone, again and again, and what was last seen of it."""

    clients: Clients
    instance_id: str
    settings: CloneSettings
    progress: Progress
    text: str = ""
    state: str = "pending"
    reason: str = ""
    _reported: float = 0.0

    def follow(self) -> str:
        """Wait for the tests' result; return the console that has it. Raises PublishError when none comes."""
        what = f"the tests' result from {self.instance_id}"
        try:
            wait_until(self._ended, what, limit=self.settings.limit, longest=LOOK_EVERY, tick=self._report)
        except TimeoutError as error:
            raise _failure(f"the test clone {self.instance_id} did not report: {error}", self.text) from error
        if console.last_line(self.text, console.TEST) is None:
            if console.PANIC in self.text:
                raise _failure(f"the kernel of the test clone {self.instance_id} panicked", self.text)
            why = f" ({self.reason})" if self.reason else ""
            raise _failure(
                f"the test clone {self.instance_id} is {self.state}{why} and never reported", self.text
            )
        return self.text

    def _ended(self) -> bool:
        """Look; tell whether there is nothing more to wait for: the result arrived, or the clone is dead."""
        self.state, self.reason = instance_state(self.clients, self.instance_id)
        # Read after the state: a clone that ended may have written its last line just before.
        self.text = console.read_console(self.clients, self.instance_id) or self.text
        return (
            console.last_line(self.text, console.TEST) is not None
            or console.PANIC in self.text
            or self.state not in ("pending", "running")
        )

    def _report(self, waited: float) -> None:
        if waited - self._reported >= REPORT_EVERY:
            self._reported = waited
            last = console.tail(self.text, 1).strip()[:100]
            beat(self.progress, f"test clone {self.instance_id}: {self.state} for {waited:.0f} s: {last}")


def _judge(subject: Subject, instance_id: str, text: str) -> None:
    """Raise PublishError unless the result is of this image and all its tests passed."""
    result = console.last_line(text, console.TEST) or {}
    if result.get("digest") != subject.digest:
        raise _failure(f"{instance_id} says that it is {result.get('digest')}, not {subject.digest}", text)
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
    sections = inventory.get("sections", {})
    differing = sorted(name for name in expected if sections.get(name) != expected[name])
    if differing:
        paths = "".join(f"\n  {path}" for path in inventory.get("differs", []))
        raise _failure(f"{instance_id} differs from its manifest in: {', '.join(differing)}{paths}", text)


def _failure(message: str, text: str) -> PublishError:
    return PublishError(f"{message}\n  the end of its console:\n{console.tail(text)}")
