"""Drift: how resources differ from what their stack made of them.

Sources: "Detect unmanaged configuration changes to stacks and resources with drift detection", CloudFormation
user guide ("CloudFormation only determines drift for property values that are explicitly set"; the states in
which a stack can be looked at); DetectStackDrift, StackResourceDrift and PropertyDifference, API reference.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from localcloud.core.moto_types import Value
from localcloud.services.cloudformation.engine.model import Resource, Stack
from localcloud.services.cloudformation.engine.scope import World
from localcloud.services.cloudformation.errors import CfnError
from localcloud.services.cloudformation.resources.base import Properties
from localcloud.services.cloudformation.resources.current import READERS

ALLOWED = (
    "CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED",
    "IMPORT_COMPLETE",
)  # fmt: skip


@dataclass(frozen=True)
class Difference:
    """A property that differs. ``path``: a JSON pointer; ``kind``: ADD, REMOVE or NOT_EQUAL."""

    path: str
    expected: str
    actual: str
    kind: str


@dataclass(frozen=True)
class ResourceDrift:
    """A resource that was looked at. ``actual``: the properties now, empty when the resource is gone."""

    resource: Resource
    status: str  # IN_SYNC, MODIFIED or DELETED
    actual: Properties
    differences: list[Difference]
    time: datetime


@dataclass
class Detection:
    """One run of a detection."""

    stack: Stack
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    time: datetime = field(default_factory=lambda: datetime.now(UTC))
    status: str = "DETECTION_IN_PROGRESS"
    reason: str | None = None


@dataclass
class Drifts:
    """The detections of one region, and what the last ones found of each stack."""

    detections: dict[str, Detection] = field(default_factory=dict)
    found: dict[str, dict[str, ResourceDrift]] = field(default_factory=dict)  # stack id, logical id
    lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, world: World, stack: Stack, names: list[str]) -> Detection:
        """Look at a stack's resources, or those in ``names``; returns at once."""
        check_state(stack)
        unknown = sorted(set(names) - stack.resources.keys())
        if unknown:
            raise CfnError(f"Resources [{', '.join(unknown)}] do not exist in stack {stack.name}")
        with self.lock:
            running = [d for d in self.detections.values() if d.stack is stack]
            if any(detection.status == "DETECTION_IN_PROGRESS" for detection in running):
                raise CfnError(f"Drift detection is already in progress for stack {stack.id}")
            detection = Detection(stack)
            self.detections[detection.id] = detection
        threading.Thread(
            target=self._run, args=(world, detection, names), name=f"drift {stack.name}", daemon=True
        ).start()
        return detection

    def _run(self, world: World, detection: Detection, names: list[str]) -> None:
        try:
            for resource in list(detection.stack.resources.values()):
                if resource.type in READERS and (not names or resource.logical_id in names):
                    self.look(world, detection.stack, resource)
        except Exception as error:  # noqa: BLE001 - who waits for it has to learn that it ended
            detection.status, detection.reason = "DETECTION_FAILED", str(error)
            return
        detection.status = "DETECTION_COMPLETE"

    def look(self, world: World, stack: Stack, resource: Resource) -> ResourceDrift:
        """Compare one resource with what it should be, and keep what is found."""
        if resource.type not in READERS:
            raise CfnError(
                f"Drift detection is not supported for resource {resource.logical_id} of type {resource.type}"
            )
        env = world.env(stack)
        others = [
            (r.type, r.resolved) for r in stack.resources.values() if r.logical_id != resource.logical_id
        ]
        actual = READERS[resource.type](env, resource.physical_id, resource.resolved, others)
        now = datetime.now(UTC)
        if actual is None:
            drift = ResourceDrift(resource, "DELETED", {}, [], now)
        else:
            set_here = {key: actual[key] for key in resource.resolved if key in actual}
            expected = {key: resource.resolved[key] for key in set_here}
            differences = list(compare(expected, set_here))
            drift = ResourceDrift(
                resource, "MODIFIED" if differences else "IN_SYNC", set_here, differences, now
            )
        self.found.setdefault(stack.id, {})[resource.logical_id] = drift
        return drift

    def of(self, stack: Stack) -> dict[str, ResourceDrift]:
        """Return what is known of a stack's resources."""
        return {n: d for n, d in self.found.get(stack.id, {}).items() if n in stack.resources}

    def status(self, stack: Stack) -> str:
        """Return a stack's drift status."""
        known = self.of(stack)
        if not known:
            return "NOT_CHECKED"
        return "IN_SYNC" if all(drift.status == "IN_SYNC" for drift in known.values()) else "DRIFTED"


def check_state(stack: Stack) -> None:
    """Raise CfnError for a stack whose drift cannot be looked at now."""
    if stack.status not in ALLOWED:
        raise CfnError(f"Drift detection cannot be performed on stack {stack.id} in state {stack.status}")


def compare(expected: Value, actual: Value, path: str = "") -> Iterator[Difference]:
    """Yield how ``actual`` differs from what is set in ``expected``."""
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        for key, value in expected.items():
            yield from compare(value, actual.get(key), f"{path}/{key}")
    elif actual is None:
        yield Difference(path, as_text(expected), "null", "REMOVE")
    elif isinstance(expected, list) and isinstance(actual, list):
        if sorted(map(as_text, expected)) != sorted(map(as_text, actual)):
            yield Difference(path, as_text(expected), as_text(actual), "NOT_EQUAL")
    elif as_text(expected) != as_text(actual):
        yield Difference(path, as_text(expected), as_text(actual), "NOT_EQUAL")


def as_text(value: Value) -> str:
    """Return a value so that those that mean the same are equal: templates may write numbers as text."""
    if isinstance(value, Mapping):
        return json.dumps({key: as_text(item) for key, item in sorted(value.items())})
    if isinstance(value, list):
        return json.dumps([as_text(item) for item in value])
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
