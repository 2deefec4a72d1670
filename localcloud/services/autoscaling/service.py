"""The loop that keeps all groups as they should be, and the instance refreshes that are under way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from moto.autoscaling.exceptions import AutoscalingClientError

from ingot.errors import CloudError
from ingot.progress import Progress
from localcloud.core.moto_types import AutoScalingGroup
from localcloud.services.autoscaling.driver import Driver
from localcloud.services.autoscaling.hooks import LifecycleHooks, complete, waiting
from localcloud.services.autoscaling.members import Activity, Member, members_of
from localcloud.services.autoscaling.preferences import (
    DEFAULTS,
    POLICY_DEFAULTS,
    alarms_of,
    check_alarms,
    check_preferences,
)
from localcloud.services.autoscaling.reconcile import Reconciler, bounded_capacity, current_template
from localcloud.services.autoscaling.refresh import GroupView, InstanceRefresh, Moves
from localcloud.services.autoscaling.schedules import Schedules, run

TICK = 1.0  # seconds: grace periods, warm-up and bake times end without an event


@dataclass(frozen=True)
class Clock:
    """What time it is: ``seconds`` for what takes a while, ``now`` in UTC for what is due at a time."""

    seconds: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


class AutoScaling:
    """All groups of one account and region. ``groups`` returns moto's records of them."""

    def __init__(
        self,
        driver: Driver,
        groups: Callable[[], Iterable[AutoScalingGroup]],
        *,
        log: Progress,
        forget: Callable[[AutoScalingGroup], None],
        clock: Clock = Clock(),
    ) -> None:
        self._driver = driver
        self._groups = groups
        self._log = log
        self._forget = forget
        self.clock = clock.seconds
        self.lock = threading.RLock()
        self._moved = threading.Condition(self.lock)  # after each step
        self._wake = threading.Event()
        self._closed = False
        self.refreshes: dict[str, list[InstanceRefresh]] = {}
        self.deleting: set[str] = set()
        self.schedules = Schedules(clock.now)
        self.hooks = LifecycleHooks(driver, clock=clock.seconds, log=log)
        self.reconciler = Reconciler(driver, self.hooks, clock=clock.seconds, log=log, on_failure=self._lost)
        self._thread = threading.Thread(target=self._loop, name="autoscaling", daemon=True)

    def start(self) -> None:
        """Start the loop."""
        self._thread.start()

    def stop(self) -> None:
        """End the loop; instances stay as they are."""
        self._closed = True
        self._wake.set()
        with self._moved:
            self._moved.notify_all()
        self._thread.join()

    def wake(self) -> None:
        """Take the next step now. Any thread may call it, holding any lock."""
        self._wake.set()

    def _loop(self) -> None:
        while not self._closed:
            self._wake.wait(TICK)
            self._wake.clear()
            try:
                self.step()
            except Exception as error:  # noqa: BLE001 - one bad step must not end the loop
                self._log(f"autoscaling: {error!r}")

    def step(self) -> None:
        """Bring every group one step closer to what it should be."""
        with self._moved:
            for group in list(self._groups()):
                if self._closed:
                    break
                try:
                    self._step(group)
                except Exception as error:  # noqa: BLE001 - one bad group must not starve those after it
                    self._log(f"autoscaling: {group.name}: {error!r}")
            self._moved.notify_all()

    def _step(self, group: AutoScalingGroup) -> None:
        self.reconciler.observe(group)
        if group.name in self.deleting:
            self._empty(group)
            return
        self._run_due(group)
        desired = bounded_capacity(group)
        moves = self._refresh_step(group, desired)
        for member in moves.end:
            self.reconciler.end(
                group, member, "an instance was taken out of service in response to an instance refresh"
            )
        if self.reconciler.fit(group, desired + moves.beyond):
            self.wake()

    def _run_due(self, group: AutoScalingGroup) -> None:
        """Run the scheduled actions whose time has come; a suspended process lets them pass."""
        suspended = any(entry["ProcessName"] == "ScheduledActions" for entry in group.suspended_processes)
        for action in self.schedules.due(group.name):
            self._log(
                f"autoscaling: {group.name}: "
                + (f"{action.name} is passed over: suspended" if suspended else run(action, group))
            )

    def _empty(self, group: AutoScalingGroup) -> None:
        """End all; nobody's word is waited for: "This action also deletes any outstanding lifecycle actions"
        (DeleteAutoScalingGroup, ForceDelete).
        """
        for member in members_of(group):
            self.reconciler.end(group, member, "the Auto Scaling group is deleted", drain=False)
            member.actions = []
        if not members_of(group):
            self.deleting.discard(group.name)
            self.schedules.forget(group.name)
            self.hooks.forget(group.name)
            self._forget(group)

    # -- instance refresh

    def active_refresh(self, name: str) -> InstanceRefresh | None:
        """Return the refresh that is under way in a group."""
        return next((refresh for refresh in self.refreshes.get(name, []) if refresh.active), None)

    def start_refresh(
        self,
        group: AutoScalingGroup,
        *,
        preferences: Mapping[str, Any],
        desired: dict[str, Any] | None,
        before: dict[str, str] | None = None,
    ) -> InstanceRefresh:
        """Start a refresh; raises AutoscalingClientError where AWS would.

        ``before``: what to roll back to.
        """
        with self.lock:
            if self.active_refresh(group.name):
                raise AutoscalingClientError(
                    "InstanceRefreshInProgress",
                    "An Instance Refresh is already in progress and blocks the execution of this operation.",
                )
            wanted = (
                dict(DEFAULTS)
                | {"InstanceWarmup": _warm_up(group)}
                | {k: v for k, v in preferences.items() if v is not None}
            )
            check_preferences(wanted, desired)
            check_alarms({name: self._driver.alarm(name) for name in alarms_of(wanted)})
            previous = before or _template_of(group)
            if desired and desired.get("LaunchTemplate"):
                group._set_launch_configuration(None, desired["LaunchTemplate"], None)
            target = _template_of(group)
            outdated = {
                member.instance_id
                for member in members_of(group)
                if member.alive and not (wanted["SkipMatching"] and member.launch_template == target)
            }
            refresh = InstanceRefresh(group.name, wanted, desired, outdated, previous, self.clock())
            self.refreshes.setdefault(group.name, []).insert(0, refresh)
        self.wake()
        return refresh

    def cancel_refresh(self, name: str) -> InstanceRefresh:
        """Cancel the refresh that is under way; raises AutoscalingClientError when there is none."""
        with self.lock:
            refresh = self._need_active(name)
            refresh.finish("Cancelled", "Cancelled by user request")
        self.wake()
        return refresh

    def rollback_refresh(self, group: AutoScalingGroup) -> InstanceRefresh:
        """Roll the refresh that is under way back; raises AutoscalingClientError where AWS would."""
        with self.lock:
            refresh = self._need_active(group.name)
            if not self._reversible(refresh):
                raise AutoscalingClientError(
                    "IrreversibleInstanceRefresh",
                    "The instance refresh has no desired configuration, or its launch template's version is "
                    "$Latest or $Default: there is nothing to roll back to.",
                )
            self._roll_back(group, refresh, "Rollback requested by user")
        self.wake()
        return refresh

    def _need_active(self, name: str) -> InstanceRefresh:
        refresh = self.active_refresh(name)
        if refresh is None:
            raise AutoscalingClientError(
                "ActiveInstanceRefreshNotFound",
                "No in progress or pending Instance Refresh found for Auto Scaling group " + name,
            )
        return refresh

    def _reversible(self, refresh: InstanceRefresh) -> bool:
        return (
            refresh.desired is not None
            and refresh.before is not None
            and refresh.status != "RollbackInProgress"
        )

    def _refresh_step(self, group: AutoScalingGroup, desired: int) -> Moves:
        refresh = self.active_refresh(group.name)
        if refresh is None:
            return Moves()
        members = members_of(group)
        view = GroupView(
            alive=[member for member in members if member.alive],
            leaving=sum(1 for member in members if not member.alive and member.phase == "Terminating"),
            desired=desired,
            ready=lambda member: self._ready(group, member, refresh),
            now=self.clock(),
        )
        alarms = {name: self._driver.alarm(name) for name in alarms_of(refresh.preferences)}
        why = refresh.must_fail(view.now, [name for name, state in alarms.items() if state == "ALARM"])
        if why is not None:
            self._fail(group, refresh, why)
            return refresh.standstill(view) if refresh.active else Moves()
        if refresh.must_wait(view.now, [name for name, state in alarms.items() if state != "OK"]):
            return refresh.standstill(view)
        moves = refresh.step(view)
        if not refresh.active:
            self._log(f"autoscaling: {group.name}: refresh {refresh.id} {refresh.status} {refresh.reason}")
        return moves

    def _ready(self, group: AutoScalingGroup, member: Member, refresh: InstanceRefresh) -> bool:
        """Tell whether an instance counts as healthy.

        In service, fine at the load balancer, and new ones warmed up.
        """
        if (
            member.lifecycle_state != "InService"
            or member.health_status != "Healthy"
            or member.in_service is None
        ):
            return False
        if any(self._driver.health(arn, member.instance) != "healthy" for arn in group.target_group_arns):
            return False
        if member.instance_id in refresh.outdated:
            return True
        return self.clock() - member.in_service >= float(refresh.preferences["InstanceWarmup"])

    def _lost(self, group: AutoScalingGroup, member: Member | None, reason: str) -> None:
        """Count an instance that a refresh launched in vain."""
        refresh = self.active_refresh(group.name)
        if refresh is not None and (member is None or member.instance_id not in refresh.outdated):
            refresh.lost += 1
            refresh.reason = f"Last: {reason}"

    def _fail(self, group: AutoScalingGroup, refresh: InstanceRefresh, why: str) -> None:
        self._log(f"autoscaling: {group.name}: refresh {refresh.id} fails: {why}")
        if refresh.status == "RollbackInProgress":
            refresh.finish("RollbackFailed", why)
        elif refresh.preferences["AutoRollback"] and self._reversible(refresh):
            self._roll_back(group, refresh, why)
        else:
            refresh.finish("Failed", why)

    def _roll_back(self, group: AutoScalingGroup, refresh: InstanceRefresh, why: str) -> None:
        assert refresh.before is not None  # noqa: S101 - `_reversible` looked
        template = {key: refresh.before[key] for key in ("LaunchTemplateId", "Version")}
        group._set_launch_configuration(None, template, None)
        newer = {m.instance_id for m in members_of(group) if m.alive and m.launch_template != refresh.before}
        refresh.roll_back(why, newer, self.clock())

    def refresh_and_wait(self, group: AutoScalingGroup, policy: Mapping[str, Any]) -> None:
        """Do what an UpdatePolicy's AutoScalingInstanceRefresh asks for.

        Raises CloudError with the reason when it fails.
        """
        try:
            preferences = {**POLICY_DEFAULTS, **(policy.get("Preferences") or {})}
            refresh = self.start_refresh(group, preferences=preferences, desired=None)
        except AutoscalingClientError as error:
            raise CloudError(f"Instance refresh of {group.name}: {error.message}") from error
        with self._moved:
            self._moved.wait_for(lambda: self._closed or not refresh.active)
        if refresh.status != "Successful":
            raise CloudError(
                f"Instance refresh of {group.name} ended as {refresh.status}: "
                f"{refresh.reason or 'the cloud stops'}"
            )

    # -- lifecycle hooks

    def complete(
        self, group: AutoScalingGroup, hook: str, result: str, who: tuple[str | None, str | None]
    ) -> None:
        """CompleteLifecycleAction; ``who``: the action's token, or None, and the instance's id, or None."""
        with self.lock:
            member, action = waiting(members_of(group), hook, *who)
            complete(member, action, result)
        self.wake()

    def beat(self, group: AutoScalingGroup, hook: str, who: tuple[str | None, str | None]) -> None:
        """RecordLifecycleActionHeartbeat."""
        with self.lock:
            self.hooks.beat(waiting(members_of(group), hook, *who)[1])

    def take_out(self, instance_id: str, *, decrement: bool) -> Activity:
        """TerminateInstanceInAutoScalingGroup."""
        with self.lock:
            for group in self._groups():
                for member in members_of(group):
                    if member.instance_id == instance_id:
                        if decrement:
                            group.desired_capacity = max(0, int(group.desired_capacity or 0) - 1)
                        activity = self.reconciler.end(
                            group,
                            member,
                            "an instance was taken out of service in response to a user request",
                        )
                        self.wake()
                        return activity
        raise AutoscalingClientError(
            "ValidationError",
            f"Instance Id not found - No managed instance found for instance ID: {instance_id}",
        )


def _template_of(group: AutoScalingGroup) -> dict[str, str]:
    """Return the group's launch template.

    Raises AutoscalingClientError if the template or its version does not exist.
    """
    try:
        return current_template(group)
    except CloudError as error:
        raise AutoscalingClientError("ValidationError", error.message) from error


def _warm_up(group: AutoScalingGroup) -> int:
    """Return the default: the group's default warm-up, else its grace period."""
    known = getattr(group, "default_instance_warmup", None)
    return int(known if known is not None else group.health_check_grace_period or 0)
