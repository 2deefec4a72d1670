"""Instance refresh: which instances go when, and what becomes of a refresh that gets no healthy ones.

Sources: Amazon EC2 Auto Scaling user guide, "How an instance refresh works", "Instance refresh default
values", "Add checkpoints", "Undo changes with a rollback", "Use skip matching".
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from localcloud.services.autoscaling.members import Member

ACTIVE = ("Pending", "InProgress", "Cancelling", "RollbackInProgress", "Baking")
# AWS goes on trying for an hour after the last progress; a new clone here either comes up or will never do:
# after so many lost ones the refresh fails as it would there an hour later.
LOST_LIMIT = 2
PROGRESS_SECONDS = 3600.0


@dataclass(frozen=True)
class GroupView:
    """The group as a refresh sees it: its living members, how many there should be, who is ready."""

    alive: list[Member]
    leaving: int
    desired: int
    ready: Callable[[Member], bool]
    now: float


@dataclass(frozen=True)
class Moves:
    """What to do now: how many instances beyond the desired capacity to have, and whom to end."""

    beyond: int = 0
    end: tuple[Member, ...] = ()


@dataclass
class InstanceRefresh:
    """One instance refresh. ``outdated`` holds the ids of the instances that it has yet to replace."""

    group: str
    preferences: dict[str, Any]
    desired: dict[str, Any] | None
    outdated: set[str]
    before: dict[str, str] | None  # the launch template to roll back to
    started: float
    strategy: str = "Rolling"
    status: str = "Pending"
    reason: str = ""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    start_time: datetime = field(default_factory=lambda: datetime.now(UTC))
    end_time: datetime | None = None
    rollback: dict[str, Any] | None = None
    lost: int = 0
    total: int = 0
    progressed: float = 0.0
    bake_until: float | None = None
    checkpoint_at: float | None = None
    beyond: int = 0  # of its last step

    def __post_init__(self) -> None:
        self.total = len(self.outdated)
        self.progressed = self.started

    @property
    def active(self) -> bool:
        """Whether it still changes the group."""
        return self.status in ACTIVE

    @property
    def percentage(self) -> int:
        """How much of it is done, in percent."""
        return 100 if self.total == 0 else (self.total - len(self.outdated)) * 100 // self.total

    def finish(self, status: str, reason: str = "") -> None:
        """End it."""
        self.status, self.reason = status, reason or self.reason
        self.end_time = datetime.now(UTC)

    def standstill(self, view: GroupView) -> Moves:
        """Keep what there is.

        No more instances than before, and none ends because the refresh stands still.
        """
        return Moves(max(0, min(self.beyond, len(view.alive) - view.desired)))

    def step(self, view: GroupView) -> Moves:
        """Move on: note who has gone, decide who goes next, see the end."""
        moves = self._moves(view)
        self.beyond = moves.beyond
        return moves

    def _moves(self, view: GroupView) -> Moves:
        if self.status == "Pending":
            self.status = "InProgress"
        left = {member.instance_id for member in view.alive} & self.outdated
        if left != self.outdated:
            self.outdated, self.progressed = left, view.now
        if not left:
            self._conclude(view)
            return Moves()
        if self.status == "Cancelling":
            self.finish("Cancelled", self.reason or "Cancelled by user request")
            return Moves()
        return self._replace(view)

    def _conclude(self, view: GroupView) -> None:
        """End it when all replacements are ready and the bake time has passed."""
        ready = sum(1 for member in view.alive if view.ready(member))
        waits = self.total > 0 and (
            ready < view.desired or view.leaving > 0
        )  # nothing to replace: done at once
        if waits:
            return
        if self.status == "InProgress" and self.preferences["BakeTime"]:
            self.status, self.bake_until = "Baking", view.now + float(self.preferences["BakeTime"])
        if self.status == "Baking" and self.bake_until is not None and view.now < self.bake_until:
            return
        ends = {"RollbackInProgress": "RollbackSuccessful", "Cancelling": "Cancelled"}
        self.finish(ends.get(self.status, "Successful"))

    def _replace(self, view: GroupView) -> Moves:
        low, high = bounds(view.desired, self.preferences)
        outdated = [member for member in view.alive if member.instance_id in self.outdated]
        ready = [member for member in view.alive if view.ready(member)]
        spare = len(ready) - low
        if high == view.desired and spare <= 0 and len(ready) == view.desired:
            spare = 1  # percentages that leave no room: AWS replaces one at a time
        allowed = self._allowed(view.now)
        order = sorted(outdated, key=lambda member: (view.ready(member), member.launched))
        going: list[Member] = []
        for member in order:
            if len(going) >= allowed or not self._may_go(member):
                continue
            if view.ready(member):
                if spare <= 0:
                    continue
                spare -= 1
            going.append(member)
        # Who goes now needs no replacement any more: without that, one would be started and ended again.
        beyond = min(high - view.desired, len(outdated) - len(going), allowed)
        return Moves(max(0, beyond), tuple(going))

    def _may_go(self, member: Member) -> bool:
        return (
            not member.protected_from_scale_in or self.preferences["ScaleInProtectedInstances"] == "Refresh"
        )

    def _allowed(self, now: float) -> int:
        """Return how many more may be replaced before the next checkpoint.

        All that remain, if there is no such checkpoint.
        """
        checkpoints = self.preferences.get("CheckpointPercentages") or []
        if not checkpoints or self.status != "InProgress":
            return len(self.outdated)
        done = self.total - len(self.outdated)
        marks = [math.ceil(self.total * int(percent) / 100) for percent in checkpoints]
        if done in marks and done < self.total:
            if self.checkpoint_at is None:
                self.checkpoint_at = now
            if now - self.checkpoint_at < float(self.preferences.get("CheckpointDelay", 3600)):
                self.reason = f"Waiting at the checkpoint of {self.percentage} percent"
                return 0
            self.reason = ""
        else:
            self.checkpoint_at = None
        return next((mark for mark in marks if mark > done), self.total) - done

    def must_fail(self, now: float, alarms: list[str]) -> str | None:
        """Return why it cannot go on; None when it can.

        ``alarms``: those that are firing; they do not keep it from going back.
        """
        if alarms and self.status != "RollbackInProgress":
            return f"Alarm(s) {', '.join(alarms)} in ALARM state"
        if self.lost >= LOST_LIMIT:
            return f"{self.lost} new instances did not become healthy. {self.reason}".strip()
        if now - self.progressed > PROGRESS_SECONDS:
            return "No progress for an hour: new instances do not become healthy"
        return None

    def must_wait(self, now: float, alarms: list[str]) -> bool:
        """Say whether it stands still.

        No instance is replaced while an alarm has no data (the same place in the user guide).
        """
        waits = bool(alarms) and self.status in ("Pending", "InProgress")
        if waits:
            self.progressed = now
            self.reason = f"Waiting for data of: {', '.join(alarms)}"
        elif self.reason.startswith("Waiting for data"):
            self.reason = ""
        return waits

    def roll_back(self, why: str, outdated: set[str], now: float) -> None:
        """Turn round: the instances of the new configuration are the outdated ones from now on."""
        self.rollback = {
            "reason": why,
            "start": datetime.now(UTC),
            "percentage": self.percentage,
            "left": len(self.outdated),
        }
        self.status, self.reason = "RollbackInProgress", why
        self.outdated, self.total = outdated, len(outdated)
        self.lost, self.progressed, self.bake_until = 0, now, None

    def shown(self) -> dict[str, Any]:
        """Return it as DescribeInstanceRefreshes shows it."""
        record: dict[str, Any] = {
            "InstanceRefreshId": self.id, "AutoScalingGroupName": self.group, "Status": self.status,
            "StartTime": self.start_time, "PercentageComplete": self.percentage,
            "InstancesToUpdate": len(self.outdated), "Strategy": self.strategy,
            "Preferences": {k: v for k, v in self.preferences.items() if v is not None},
        }  # fmt: skip
        if self.end_time is not None:
            record["EndTime"] = self.end_time
        if self.reason:
            record["StatusReason"] = self.reason
        if self.desired:
            record["DesiredConfiguration"] = self.desired
        if self.rollback is not None:
            record["RollbackDetails"] = {
                "RollbackReason": self.rollback["reason"], "RollbackStartTime": self.rollback["start"],
                "PercentageCompleteOnRollback": self.rollback["percentage"],
                "InstancesToUpdateOnRollback": self.rollback["left"],
            }  # fmt: skip
        return record


def bounds(desired: int, preferences: Mapping[str, Any]) -> tuple[int, int]:
    """Return how few ready and how many living instances a group of ``desired`` may have meanwhile.

    The minimum is rounded up; a maximum above 100 percent gives room for at least one more.
    """
    least = math.ceil(desired * int(preferences["MinHealthyPercentage"]) / 100)
    most = int(preferences["MaxHealthyPercentage"])
    return least, desired if most <= 100 else max(desired + 1, desired * most // 100)
