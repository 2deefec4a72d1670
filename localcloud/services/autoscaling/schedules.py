"""Scheduled actions: groups get other bounds or another size at certain times.

Sources: Amazon EC2 Auto Scaling user guide, "Scheduled scaling"; API reference,
PutScheduledUpdateGroupAction. Texts of refusals are those that users of AWS report; the code of each is in
the API reference.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from moto.autoscaling.exceptions import AutoscalingClientError

from localcloud.core.moto_types import AutoScalingGroup
from localcloud.services.autoscaling.recurrence import Recurrence, parse

MOST_ACTIONS = 125  # of a group: "Quotas for Auto Scaling resources and groups"
MOST_OF_A_BATCH = 50  # BatchPutScheduledUpdateGroupAction, BatchDeleteScheduledAction


@dataclass(frozen=True)
class ScheduledAction:
    """One action. ``start`` is the time of its next run; what is None says nothing."""

    name: str
    group: str
    start: datetime | None = None
    end: datetime | None = None
    recurrence: str | None = None
    zone: str | None = None
    minimum: int | None = None
    maximum: int | None = None
    desired: int | None = None

    def times(self) -> Recurrence | None:
        """Return when it recurs; raises AutoscalingClientError for what is no crontab or no time zone."""
        if self.zone is not None and self.zone not in zoneinfo.available_timezones():
            raise _invalid(f"Given time zone {self.zone} is invalid")
        if self.recurrence is None:
            return None
        try:
            return parse(self.recurrence, zoneinfo.ZoneInfo(self.zone or "UTC"))
        except ValueError as error:
            raise _invalid(f"Given recurrence string: {self.recurrence} is invalid") from error

    def after(self, moment: datetime) -> ScheduledAction | None:
        """Return the action as it is after it ran at ``moment``: with its next time; None when it is over."""
        times = self.times()
        following = times.after(moment) if times is not None else None
        if following is None or (self.end is not None and following >= self.end):
            return None
        return replace(self, start=following)

    def shown(self, arn: str) -> dict[str, Any]:
        """Return it as DescribeScheduledActions shows it."""
        record = {
            "ScheduledActionName": self.name, "AutoScalingGroupName": self.group,
            "ScheduledActionARN": arn, "Time": self.start, "StartTime": self.start, "EndTime": self.end,
            "Recurrence": self.recurrence, "TimeZone": self.zone, "MinSize": self.minimum,
            "MaxSize": self.maximum, "DesiredCapacity": self.desired,
        }  # fmt: skip
        return {key: value for key, value in record.items() if value is not None}


class Schedules:
    """The scheduled actions of all groups. ``now`` returns the time in UTC."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._actions: dict[str, dict[str, ScheduledAction]] = {}

    def of(self, group: str) -> list[ScheduledAction]:
        """Return a group's actions."""
        return list(self._actions.get(group, {}).values())

    def all(self) -> list[ScheduledAction]:
        """Return the actions of all groups."""
        return [action for group in self._actions for action in self.of(group)]

    def put(self, group: AutoScalingGroup, name: str, given: dict[str, Any]) -> None:
        """Create or change an action; ``given``: ScheduledAction's fields, None where nothing is said.

        What is left out of a change stays as it is. Raises AutoscalingClientError where AWS refuses.
        """
        known = self._actions.get(group.name, {})
        said = {key: value for key, value in given.items() if value is not None}
        before = known.get(name, ScheduledAction(name, group.name))
        # The next run of a recurring action is computed: it is no start that anyone asked for.
        if before.recurrence is not None or "recurrence" in said:
            before = replace(before, start=None)
        action = self._checked(replace(before, **said), asked=said)
        for other in known.values():
            if other.name != name and other.start == action.start:
                raise AutoscalingClientError(
                    "AlreadyExists", f"Scheduled action with start time {action.start} already exists"
                )
        if name not in known and len(known) >= MOST_ACTIONS:
            raise AutoscalingClientError(
                "LimitExceeded", f"Scheduled actions limit exceeded: {MOST_ACTIONS} per Auto Scaling group"
            )
        self._actions.setdefault(group.name, {})[name] = action

    def _checked(self, action: ScheduledAction, asked: dict[str, Any]) -> ScheduledAction:
        now, times = self._now(), action.times()
        sizes = (action.minimum, action.desired, action.maximum)
        if all(size is None for size in sizes):
            raise _invalid("At least one of MinSize, MaxSize or DesiredCapacity must be specified")
        _check_sizes(*sizes)
        if "start" in asked and action.start is not None and action.start <= now:
            raise _invalid("Given start time is in the past")
        if "end" in asked and action.end is not None and action.end <= now:
            raise _invalid("Given end time is in the past")
        if action.start is None and times is None:
            raise _invalid("A start time or a recurrence must be specified")
        if action.start is None and times is not None:
            action = replace(action, start=times.after(now))
        if action.end is not None and action.start is not None and action.end <= action.start:
            raise _invalid("Given end time is not after the start time")
        return action

    def delete(self, group: str, name: str) -> None:
        """Delete an action; raises AutoscalingClientError (ValidationError) when there is none."""
        if name not in self._actions.get(group, {}):
            raise _invalid(f"Scheduled action name not found: {name}")
        del self._actions[group][name]

    def forget(self, group: str) -> None:
        """Let the actions of a group go with it."""
        self._actions.pop(group, None)

    def due(self, group: str) -> Iterable[ScheduledAction]:
        """Return a group's actions whose time has come, the earliest first; each once.

        A recurring one that was missed several times, as while this machine slept, comes once.
        """
        now = self._now()
        waiting = [action for action in self.of(group) if action.start is not None and action.start <= now]
        waiting.sort(key=lambda action: (action.start, action.name))
        for action in waiting:
            following = action.after(now)
            if following is None:
                del self._actions[group][action.name]
            else:
                self._actions[group][action.name] = following
        return waiting


def run(action: ScheduledAction, group: AutoScalingGroup) -> str:
    """Give a group the action's sizes; return what became of it, in the words of AWS's activities.

    New bounds alone move the desired capacity into them. Bounds that would cross those that the action
    leaves alone change nothing, as UpdateAutoScalingGroup would refuse them.
    """
    low = int(group.min_size or 0) if action.minimum is None else action.minimum
    high = group.max_size if action.maximum is None else action.maximum
    if high is not None and low > int(high):
        return f"the scheduled action {action.name} failed: its min {low} is above the max {high}"
    before = int(group.desired_capacity or 0)
    wanted = before if action.desired is None else action.desired
    desired = max(low, wanted if high is None else min(wanted, int(high)))
    group.min_size, group.max_size, group.desired_capacity = low, high, desired
    return (
        f"a scheduled action update of AutoScalingGroup constraints to min: {low}, max: {high}, "
        f"desired: {desired} changing the desired capacity from {before} to {desired}"
    )


def _check_sizes(minimum: int | None, desired: int | None, maximum: int | None) -> None:
    if any(size is not None and size < 0 for size in (minimum, desired, maximum)):
        raise _invalid("Sizes must be at least 0")
    if minimum is not None and maximum is not None and minimum > maximum:
        raise _invalid("Max size must be greater than or equal to min size")
    if minimum is not None and desired is not None and desired < minimum:
        raise _invalid("Desired capacity must be greater than or equal to min size")
    if maximum is not None and desired is not None and desired > maximum:
        raise _invalid("Desired capacity must be less than or equal to max size")


def _invalid(message: str) -> AutoscalingClientError:
    return AutoscalingClientError("ValidationError", message)
