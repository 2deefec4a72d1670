"""An Auto Scaling group's instances and its activities, under the names that moto's serializer looks for."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from localcloud.core.moto_types import AutoScalingGroup, Instance

KEPT_ACTIVITIES = 100  # DescribeScalingActivities: newest first; AWS keeps six weeks
ALIVE = ("Pending", "InService")


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
    def alive(self) -> bool:
        """Whether it counts towards the group's size."""
        return self.lifecycle_state in ALIVE


def members_of(group: AutoScalingGroup) -> list[Member]:
    """Return the group's instances."""
    return [state for state in group.instance_states if isinstance(state, Member)]
