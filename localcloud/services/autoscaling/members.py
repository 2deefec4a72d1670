"""An Auto Scaling group's instances and its activities, under the names that moto's serializer looks for."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from localcloud.core.moto_types import AutoScalingGroup, Instance

KEPT_ACTIVITIES = 100  # DescribeScalingActivities: newest first; AWS keeps six weeks
ALIVE = ("Pending", "InService")
LAUNCHING = "autoscaling:EC2_INSTANCE_LAUNCHING"
TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"
CONTINUE, ABANDON = "CONTINUE", "ABANDON"
GLOBAL_TIMEOUT = 172_800  # seconds; or 100 times the heartbeat, whichever is less (PutLifecycleHook)


@dataclass(eq=False)
class Activity:
    """One line of DescribeScalingActivities."""

    group: str
    description: str
    cause: str
    status: str = "InProgress"
    message: str = ""
    progress: int = 30
    start: datetime = field(default_factory=lambda: datetime.now(UTC))
    end: datetime | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def close(self, status: str, message: str = "") -> None:
        """End it: Successful, Failed or Cancelled."""
        if self.end is None:
            self.status, self.message, self.progress = status, message, 100
            self.end = datetime.now(UTC)

    def shown(self) -> dict[str, Any]:
        """Return it as the API shows it."""
        record: dict[str, Any] = {
            "ActivityId": self.id, "AutoScalingGroupName": self.group, "Description": self.description,
            "Cause": self.cause, "StartTime": self.start, "StatusCode": self.status,
            "Progress": self.progress, "Details": "{}",
        }  # fmt: skip
        if self.end is not None:
            record["EndTime"] = self.end
        if self.message:
            record["StatusMessage"] = self.message
        return record


@dataclass(frozen=True)
class LifecycleHook:
    """A hook for which instances of a group wait. Times are seconds."""

    name: str
    group: str
    transition: str = ""
    heartbeat: int = 3600
    result: str = ABANDON
    target: str = ""
    role: str = ""
    metadata: str = ""

    @property
    def longest(self) -> int:
        """How long an instance waits at most, however many heartbeats are recorded."""
        return min(GLOBAL_TIMEOUT, 100 * self.heartbeat)

    def shown(self) -> dict[str, Any]:
        """Return it as DescribeLifecycleHooks shows it."""
        record = {
            "LifecycleHookName": self.name, "AutoScalingGroupName": self.group,
            "LifecycleTransition": self.transition, "NotificationTargetARN": self.target,
            "RoleARN": self.role, "NotificationMetadata": self.metadata, "HeartbeatTimeout": self.heartbeat,
            "GlobalTimeout": self.longest, "DefaultResult": self.result,
        }  # fmt: skip
        return {key: value for key, value in record.items() if value != ""}


@dataclass(eq=False)
class LifecycleAction:
    """An instance's wait for a hook. Times are seconds of the service's clock."""

    hook: LifecycleHook
    until: float
    at_most: float
    token: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(eq=False)
class Member:
    """One instance of a group. Times are seconds of the service's clock."""

    instance: Instance
    auto_scaling_group: AutoScalingGroup
    launch_template: dict[str, str] | None
    launched: float
    activity: Activity
    protected_from_scale_in: bool = False
    lifecycle_state: str = "Pending"
    health_status: str = "Healthy"
    in_service: float | None = None
    registered: set[str] = field(default_factory=set)  # ARNs of target groups
    terminating: bool = False  # EC2 has been told
    actions: list[LifecycleAction] | None = None  # what it waits for; None: its hooks were not asked yet
    abandoned: bool = False  # a hook ended its wait with ABANDON
    launch_configuration_name: None = None

    @property
    def instance_id(self) -> str:
        """The instance's id."""
        return str(self.instance.id)

    @property
    def instance_type(self) -> str:
        """The instance's type."""
        return str(self.instance.instance_type)

    @property
    def availability_zone(self) -> str:
        """The zone that it runs in."""
        return str(self.instance.placement.zone)

    @property
    def auto_scaling_group_name(self) -> str:
        """The group's name."""
        return str(self.auto_scaling_group.name)

    @property
    def phase(self) -> str:
        """The lifecycle state without what a hook adds: ``Pending`` of ``Pending:Wait``."""
        return self.lifecycle_state.partition(":")[0]

    @property
    def alive(self) -> bool:
        """Whether it counts towards the group's size."""
        return self.phase in ALIVE


def members_of(group: AutoScalingGroup) -> list[Member]:
    """Return the group's instances."""
    return [state for state in group.instance_states if isinstance(state, Member)]
