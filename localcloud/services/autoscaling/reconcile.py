"""Holds a group at its desired capacity: launches, health, replacement, scale-in, clean ends.

Sources: Amazon EC2 Auto Scaling user guide, "Amazon EC2 Auto Scaling instance lifecycle", "Health checks for
instances in an Auto Scaling group", "Default termination policy", "Elastic Load Balancing and Amazon EC2 Auto
Scaling".
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from datetime import UTC, datetime

from moto.core.exceptions import ServiceException

from ingot.errors import CloudError
from ingot.progress import Progress
from localcloud.core.moto_types import AutoScalingGroup
from localcloud.services.autoscaling.driver import Driver
from localcloud.services.autoscaling.hooks import LifecycleHooks
from localcloud.services.autoscaling.members import (
    KEPT_ACTIVITIES,
    LAUNCHING,
    TERMINATING,
    Activity,
    Member,
    members_of,
)

# Launches in one step. Each takes some milliseconds; requests that ask for the group wait meanwhile.
LAUNCHES = 25
LONGEST_PAUSE = 60.0  # seconds between two attempts to launch what EC2 refuses


class Reconciler:
    """Brings groups closer to what they should be, a step at a time. The caller holds the service's lock.

    ``on_failure(group, member, reason)`` hears of each instance that was lost: by health or in its launch
    (then None).
    """

    def __init__(
        self,
        driver: Driver,
        hooks: LifecycleHooks,
        *,
        clock: Callable[[], float],
        log: Progress,
        on_failure: Callable[[AutoScalingGroup, Member | None, str], None],
    ) -> None:
        self._driver = driver
        self._hooks = hooks
        self._clock = clock
        self._log = log
        self._on_failure = on_failure
        self.activities: dict[str, deque[Activity]] = defaultdict(lambda: deque(maxlen=KEPT_ACTIVITIES))
        self._refusals: dict[str, int] = defaultdict(int)
        self._next_launch: dict[str, float] = defaultdict(float)

    def observe(self, group: AutoScalingGroup) -> None:
        """Take in what has become of the group's instances since the last step."""
        for member in members_of(group):
            state, reason = self._driver.state(member.instance)
            if member.phase == "Pending":
                self._take_in(group, member, state, reason)
            elif member.phase == "InService":
                self._register(group, member)
                self._judge(group, member, state)
            elif member.phase == "Terminating":
                self._see_off(group, member, state)

    def _take_in(self, group: AutoScalingGroup, member: Member, state: str, reason: str) -> None:
        if state == "running":
            if self._waits(member, LAUNCHING):
                return
            if member.abandoned:
                self._give_up(group, member)
                return
            member.lifecycle_state, member.in_service = "InService", self._clock()
            member.activity.close("Successful")
            self._register(group, member)
        elif state != "pending":
            member.activity.close("Failed", reason)
            self._on_failure(group, member, reason)
            self.end(group, member, f"an instance was lost while it was launched: {reason}", drain=False)

    def _waits(self, member: Member, transition: str) -> bool:
        """Say whether a lifecycle hook holds an instance; its state says so, too.

        Who was held goes on a step later, so that ``Pending:Proceed`` is seen.
        """
        phase = member.phase
        if self._hooks.hold(member, transition):
            member.lifecycle_state, member.activity.status = f"{phase}:Wait", "MidLifecycleAction"
            return True
        held = member.lifecycle_state == f"{phase}:Wait"
        if held:
            member.lifecycle_state, member.activity.status = f"{phase}:Proceed", "InProgress"
        return held

    def _give_up(self, group: AutoScalingGroup, member: Member) -> None:
        """End an instance whose launch a hook abandoned; the group launches another."""
        why = "the lifecycle action of its launch was abandoned"
        member.activity.close("Failed", f"Instance failed to complete user's Lifecycle Action: {why}")
        self._on_failure(group, member, why)
        self.end(group, member, f"an instance was taken out of service because {why}", drain=False)

    def _register(self, group: AutoScalingGroup, member: Member) -> None:
        if _suspended(group, "AddToLoadBalancer"):
            return
        for arn in set(group.target_group_arns) - member.registered:
            self._driver.register(arn, member.instance)
            member.registered.add(arn)
        for arn in member.registered - set(group.target_group_arns):
            self._driver.deregister(arn, member.instance)
            member.registered.discard(arn)

    def _judge(self, group: AutoScalingGroup, member: Member, state: str) -> None:
        """Mark what is unhealthy, and replace it.

        An instance that does not run is so at once, grace period or not.
        """
        if member.health_status == "Healthy" and not _suspended(group, "HealthCheck"):
            if state != "running":
                member.health_status = "Unhealthy"
                cause = (
                    "in response to an EC2 health check indicating it has been terminated or stopped "
                    f"({state})"
                )
            elif self._fails_at_load_balancer(group, member):
                member.health_status = "Unhealthy"
                cause = "in response to an ELB system health check failure"
            else:
                return
        elif member.health_status != "Healthy":
            cause = "in response to a user health-check"
        else:
            return
        if _suspended(group, "ReplaceUnhealthy") or _suspended(group, "Terminate"):
            return
        self._on_failure(group, member, cause)
        self.end(group, member, f"an instance was taken out of service {cause}", drain=state == "running")

    def _fails_at_load_balancer(self, group: AutoScalingGroup, member: Member) -> bool:
        if "ELB" not in str(group.health_check_type) or member.in_service is None:
            return False
        if self._clock() - member.in_service < float(group.health_check_grace_period or 0):
            return False
        return any(self._driver.health(arn, member.instance) == "unhealthy" for arn in member.registered)

    def end(self, group: AutoScalingGroup, member: Member, cause: str, *, drain: bool = True) -> Activity:
        """Take an instance out of service.

        Out of the load balancer, then, when its requests are done, out of EC2.
        """
        if member.phase == "Terminating":
            return member.activity
        member.activity.close("Cancelled", "The instance was terminated")
        member.lifecycle_state = "Terminating"
        member.actions, member.abandoned = None, False
        member.activity = self._note(group, f"Terminating EC2 instance: {member.instance_id}", cause)
        for arn in member.registered:
            self._driver.deregister(arn, member.instance)
        if drain and member.registered:
            member.activity.status = "WaitingForELBConnectionDraining"
        else:
            member.registered.clear()
        return member.activity

    def _see_off(self, group: AutoScalingGroup, member: Member, state: str) -> None:
        if state == "terminated":
            member.activity.close("Successful")
            group.instance_states = [known for known in group.instance_states if known is not member]
            return
        drained = all(self._driver.health(arn, member.instance) != "draining" for arn in member.registered)
        if not member.terminating and (drained or state != "running"):
            # Requests end first, then hooks are asked. What EC2 ends by itself waits for none.
            if state != "shutting-down" and self._waits(member, TERMINATING):
                return
            member.terminating = True
            member.activity.status = "InProgress"
            self._driver.terminate(member.instance)

    def fit(self, group: AutoScalingGroup, size: int) -> bool:
        """Launch what is missing of ``size`` instances, or end what is too much.

        Return whether more are to be launched now: who holds the lock lets others have it in between.
        """
        alive = [member for member in members_of(group) if member.alive]
        missing = size - len(alive)
        for _ in range(min(missing, LAUNCHES)):
            if _suspended(group, "Launch") or not self._launch(group, size):
                return False
        if len(alive) > size and not _suspended(group, "Terminate"):
            try:
                template = current_template(group)
            except (
                CloudError
            ):  # its version was deleted, as everyone learns who launches: all members are old
                template = {}
            for member in surplus(alive, len(alive) - size, template, lambda m: self._serves(group, m)):
                self.end(
                    group, member, f"a difference between desired and actual capacity shrank it to {size}"
                )
        return missing > LAUNCHES

    def _serves(self, group: AutoScalingGroup, member: Member) -> bool:
        """Say whether requests reach an instance: it is in service and all load balancers find it healthy."""
        return member.lifecycle_state == "InService" and all(
            self._driver.health(arn, member.instance) == "healthy" for arn in group.target_group_arns
        )

    def _launch(self, group: AutoScalingGroup, size: int) -> bool:
        now = self._clock()
        if now < self._next_launch[group.name]:
            return False
        cause = (
            f"At {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} an instance was started in response to a difference "
            f"between desired and actual capacity, increasing the capacity to {size}."
        )
        activity = self._note(group, "Launching a new EC2 instance", cause)
        try:
            template = current_template(group)
            instance = self._driver.launch(group, template, _subnet(group))
        except CloudError as error:
            self._refusals[group.name] += 1
            self._next_launch[group.name] = now + min(LONGEST_PAUSE, 2.0 ** self._refusals[group.name])
            activity.description += f".  Status Reason: {error.message}"
            activity.close("Failed", f"{error.message}. Launching EC2 instance failed.")
            self._on_failure(group, None, error.message)
            return False
        self._refusals[group.name] = 0
        activity.description = f"Launching a new EC2 instance: {instance.id}"
        instance.autoscaling_group = group
        protected = bool(group.new_instances_protected_from_scale_in)
        group.instance_states.append(Member(instance, group, template, now, activity, protected))
        return True

    def _note(self, group: AutoScalingGroup, description: str, cause: str) -> Activity:
        activity = Activity(group.name, description, cause)
        self.activities[group.name].appendleft(activity)
        self._log(f"autoscaling: {group.name}: {description} ({cause})")
        return activity


def current_template(group: AutoScalingGroup) -> dict[str, str]:
    """Return the launch template that the group launches from now, its version as a number.

    Raises CloudError.
    """
    template = group.ec2_launch_template
    if template is None:
        raise CloudError("ValidationError: the local cloud launches from launch templates only")
    try:
        version = template.get_version(group.launch_template_version).number
    except ServiceException as error:  # it was deleted
        raise CloudError(f"{error.code}: {error.message}") from error
    return {"LaunchTemplateId": template.id, "LaunchTemplateName": template.name, "Version": str(version)}


def bounded_capacity(group: AutoScalingGroup) -> int:
    """Return the desired capacity within the group's bounds."""
    low, high = int(group.min_size or 0), int(group.max_size if group.max_size is not None else math.inf)
    return min(max(int(group.desired_capacity or 0), low), high)


def surplus(
    alive: list[Member], count: int, template: dict[str, str], serves: Callable[[Member], bool]
) -> list[Member]:
    """Choose whom to end.

    In this order: those that do not serve, by zone (the fullest first), the unhealthy, those of an old
    template, the oldest.

    Those that do not serve come even before the zones: a group that shrinks must not lose an instance that
    has requests while it keeps one that cannot be used yet.
    """
    zones = Counter(member.availability_zone for member in alive)

    def rank(member: Member) -> tuple[bool, bool, bool, float]:
        return (
            member.health_status == "Healthy",
            member.phase != "Pending",
            member.launch_template == template,
            member.launched,
        )

    # In each zone it is the same one that goes first, however full the zone is by then.
    queues: dict[tuple[bool, str], deque[Member]] = defaultdict(deque)
    for member in sorted((member for member in alive if not member.protected_from_scale_in), key=rank):
        queues[serves(member), member.availability_zone].append(member)
    chosen: list[Member] = []
    while queues and len(chosen) < count:
        key = min(queues, key=lambda key: (key[0], -zones[key[1]], rank(queues[key][0])))
        chosen.append(queues[key].popleft())
        zones[key[1]] -= 1
        if not queues[key]:
            del queues[key]
    return chosen


def _subnet(group: AutoScalingGroup) -> str | None:
    """Return the subnet with the fewest of the group's instances."""
    subnets = [name for name in str(group.vpc_zone_identifier or "").split(",") if name]
    if not subnets:
        return None
    taken = [member.instance.subnet_id for member in members_of(group) if member.alive]
    return min(subnets, key=lambda name: (taken.count(name), subnets.index(name)))


def _suspended(group: AutoScalingGroup, process: str) -> bool:
    return any(entry["ProcessName"] == process for entry in group.suspended_processes)
