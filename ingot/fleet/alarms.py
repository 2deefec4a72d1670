"""The alarms of a deployed stack, and which of them fire."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ingot.aws.session.clients import Clients

_TYPES = ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm")
# The most names that DescribeAlarms takes (its API reference).
_NAMES = 100


@dataclass(frozen=True)
class Alarm:
    """An alarm. ``state``: OK, ALARM or INSUFFICIENT_DATA; ``reason`` is CloudWatch's."""

    name: str
    state: str
    reason: str

    @property
    def fires(self) -> bool:
        """Whether it is in alarm."""
        return self.state == "ALARM"


def alarms_of(clients: Clients, stack: str) -> tuple[Alarm, ...]:
    """Return the alarms that a stack made, those that fire first."""
    pages = clients.cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
    names = [
        resource["PhysicalResourceId"]
        for page in pages
        for resource in page["StackResourceSummaries"]
        if resource["ResourceType"] in _TYPES and resource.get("PhysicalResourceId")
    ]
    found = []
    for start in range(0, len(names), _NAMES):
        answers = clients.cloudwatch.get_paginator("describe_alarms").paginate(
            AlarmNames=names[start : start + _NAMES], AlarmTypes=["MetricAlarm", "CompositeAlarm"]
        )
        for answer in answers:
            for alarm in (*answer.get("MetricAlarms", ()), *answer.get("CompositeAlarms", ())):
                found.append(Alarm(alarm["AlarmName"], alarm["StateValue"], alarm.get("StateReason", "")))
    return tuple(sorted(found, key=lambda alarm: (not alarm.fires, alarm.name)))
