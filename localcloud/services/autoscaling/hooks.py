"""Lifecycle hooks: instances wait before they are in service, or before they are terminated.

Sources: Amazon EC2 Auto Scaling user guide, "Amazon EC2 Auto Scaling lifecycle hooks" and "How lifecycle
hooks work in Auto Scaling groups"; API reference, PutLifecycleHook, CompleteLifecycleAction,
RecordLifecycleActionHeartbeat, DeleteLifecycleHook. Texts of refusals are those that users of AWS report.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol

from moto.autoscaling.exceptions import AutoscalingClientError

from ingot.errors import CloudError
from ingot.progress import Progress
from localcloud.services.autoscaling.members import (
    ABANDON,
    CONTINUE,
    LAUNCHING,
    TERMINATING,
    LifecycleAction,
    LifecycleHook,
    Member,
)

MOST_HOOKS = 50  # of a group: "Quotas for Auto Scaling resources and groups"
SHORTEST, LONGEST = 30, 7200  # seconds of a heartbeat


class Messenger(Protocol):
    """What tells somebody that an instance waits."""

    def notify(self, target: str, role: str, message: Mapping[str, Any]) -> None:
        """Send a message to a queue or a topic with a role's rights; raises CloudError."""


class LifecycleHooks:
    """The hooks of all groups, and who waits for them. The caller holds the service's lock."""

    def __init__(self, messenger: Messenger, *, clock: Callable[[], float], log: Progress) -> None:
        self._messenger = messenger
        self._clock = clock
        self._log = log
        self._hooks: dict[str, dict[str, LifecycleHook]] = {}

    def of(self, group: str) -> list[LifecycleHook]:
        """Return a group's hooks."""
        return list(self._hooks.get(group, {}).values())

    def put(self, group: str, name: str, given: Mapping[str, Any]) -> None:
        """Create or change a hook; ``given``: LifecycleHook's fields, None where nothing is said.

        Raises AutoscalingClientError where AWS refuses. Instances that wait go on waiting as they did.
        """
        hook = self._checked(group, name, given)
        if given.get("target"):
            message = {"Event": "autoscaling:TEST_NOTIFICATION", "AutoScalingGroupName": group}
            try:
                self._messenger.notify(hook.target, hook.role, self._message(message))
            except CloudError as error:
                self._log(f"autoscaling: {group}: {error.message}")
                raise _invalid(
                    f"Unable to publish test message to notification target {hook.target} using IAM role "
                    f"{hook.role}. Please check your target and role configuration and try to put lifecycle "
                    "hook again."
                ) from error
        self._hooks.setdefault(group, {})[name] = hook

    def _checked(self, group: str, name: str, given: Mapping[str, Any]) -> LifecycleHook:
        known = self._hooks.get(group, {})
        said = {key: value for key, value in given.items() if value is not None}
        hook = replace(known.get(name, LifecycleHook(name, group)), **said)
        if hook.transition not in (LAUNCHING, TERMINATING):
            raise _invalid(
                "Lifecycle transition is required and must be one of "
                f"{LAUNCHING}, {TERMINATING}, not {hook.transition or 'missing'}"
            )
        if not SHORTEST <= hook.heartbeat <= LONGEST:
            raise _invalid(f"HeartbeatTimeout must be between {SHORTEST} and {LONGEST} seconds")
        if hook.result not in (CONTINUE, ABANDON):
            raise _invalid(f"DefaultResult must be {CONTINUE} or {ABANDON}, not {hook.result}")
        if hook.target and not hook.role:
            raise _invalid("A notification target needs a RoleARN")
        if hook.role and not hook.target and "role" in said:
            raise _invalid("A RoleARN is valid with a notification target only")
        if name not in known and len(known) >= MOST_HOOKS:
            raise AutoscalingClientError(
                "LimitExceeded", f"Lifecycle hooks limit exceeded: {MOST_HOOKS} per Auto Scaling group"
            )
        return hook

    def delete(self, group: str, name: str, members: list[Member]) -> None:
        """Delete a hook; who waits for it is let go first: ABANDON when launching, CONTINUE when not."""
        if name not in self._hooks.get(group, {}):
            raise _invalid(f"No Lifecycle Hook found with name: {name}")
        hook = self._hooks[group].pop(name)
        for member in members:
            for action in list(member.actions or ()):
                if action.hook.name == name:
                    complete(member, action, ABANDON if hook.transition == LAUNCHING else CONTINUE)

    def forget(self, group: str) -> None:
        """Let the hooks of a group go with it."""
        self._hooks.pop(group, None)

    # -- instances that wait

    def hold(self, member: Member, transition: str) -> bool:
        """Say whether an instance has to wait before it goes through a transition.

        The first question starts the wait for each of the group's hooks. When one is abandoned, or its time
        is up with ABANDON as its result, nothing else is waited for, and the member is marked.
        """
        group, now = member.auto_scaling_group_name, self._clock()
        if member.actions is None:
            member.actions = []
            for hook in self.of(group):
                if hook.transition == transition:
                    action = LifecycleAction(hook, now + hook.heartbeat, now + hook.longest)
                    member.actions.append(action)
                    self._log(f"autoscaling: {group}: {member.instance_id} waits for {hook.name}")
                    self._tell(member, action)
        for action in list(member.actions):
            if action in member.actions and now >= min(action.until, action.at_most):
                self._log(f"autoscaling: {group}: {action.hook.name} timed out: {action.hook.result}")
                complete(member, action, action.hook.result)
        return bool(member.actions)

    def _tell(self, member: Member, action: LifecycleAction) -> None:
        hook = action.hook
        if not hook.target:
            return
        launching = hook.transition == LAUNCHING
        message = {
            "LifecycleHookName": hook.name, "LifecycleTransition": hook.transition,
            "AutoScalingGroupName": hook.group, "EC2InstanceId": member.instance_id,
            "LifecycleActionToken": action.token, "Origin": "EC2" if launching else "AutoScalingGroup",
            "Destination": "AutoScalingGroup" if launching else "EC2",
        }  # fmt: skip
        if hook.metadata:
            message["NotificationMetadata"] = hook.metadata
        try:
            self._messenger.notify(hook.target, hook.role, self._message(message))
        except CloudError as error:
            # The instance waits all the same: "if an unexpected failure occurs", its timeout ends the wait.
            self._log(f"autoscaling: {hook.group}: {hook.name}: {error.message}")

    def _message(self, said: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "RequestId": str(uuid.uuid4()),
            "Service": "AWS Auto Scaling",
            "Time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z",
            **said,
        }

    def beat(self, action: LifecycleAction) -> None:
        """Let an instance wait for another heartbeat from now, within the longest wait."""
        action.until = min(self._clock() + action.hook.heartbeat, action.at_most)


def waiting(
    members: list[Member], hook: str, token: str | None, instance: str | None
) -> tuple[Member, LifecycleAction]:
    """Return the member and its action that a token, or an instance and a hook, stand for.

    Raises AutoscalingClientError (ValidationError) when nothing waits.
    """
    for member in members:
        for action in member.actions or ():
            named = action.token == token if token else member.instance_id == instance
            if action.hook.name == hook and named:
                return member, action
    said = f"token {token}" if token else f"instance ID {instance}"
    raise _invalid(f"No active Lifecycle Action found with {said}")


def complete(member: Member, action: LifecycleAction, result: str) -> None:
    """End the wait for a hook; ABANDON ends that for all others, and a launch with them."""
    assert member.actions is not None  # noqa: S101 - it waits
    member.actions.remove(action)
    if result == ABANDON:
        member.actions.clear()
        member.abandoned = True


def _invalid(message: str) -> AutoscalingClientError:
    return AutoscalingClientError("ValidationError", message)
