"""What a deployment does to the running clones: which group, how many instances, in what steps.

Read from the templates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from ingot.plan.cost import known_prices
from ingot.plan.forecast import (
    ANSWERS,
    CHECKS,
    DRAINING,
    IN_PLACE,
    INTERVAL,
    RUNNING,
    Course,
    Forecast,
    Times,
    forecasts,
)
from ingot.plan.infrastructure.stacks import StackPlan

# Instances of a group as it runs now, by stack and logical id; None when that cannot be told.
GroupSize = Callable[[str, str], int | None]


@dataclass(frozen=True)
class Rollout:
    """A group whose instances are replaced or started.

    ``running``: as many as there are now; None when not asked or new.
    """

    stack: str
    environment: str | None
    group: str
    why: tuple[str, ...]
    minimum: int
    maximum: int
    instances: int
    running: int | None
    steps: tuple[str, ...]
    forecasts: tuple[Forecast, ...] = ()
    """How long it takes, for the group's size and others, by the template's preferences and others."""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "stack": self.stack,
            "environment": self.environment,
            "group": self.group,
            "why": list(self.why),
            "minimum": self.minimum,
            "maximum": self.maximum,
            "instances": self.instances,
            "running": self.running,
            "steps": list(self.steps),
            "forecasts": [forecast.to_json() for forecast in self.forecasts],
        }


def rollouts(plan: StackPlan, size: GroupSize = lambda _stack, _group: None) -> list[Rollout]:
    """Return the rollout of each Auto Scaling group of a stack that the change reaches."""
    resources: Mapping[str, Any] = (plan.template or {}).get("Resources", {})
    groups = {
        id_: found
        for id_, found in resources.items()
        if found["Type"] == "AWS::AutoScaling::AutoScalingGroup"
    }
    result = []
    for logical_id, group in groups.items():
        why = _why(plan, logical_id, group)
        if why:
            result.append(_rollout(plan, logical_id, group, why, size))
    return result


def _why(plan: StackPlan, logical_id: str, group: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what makes the group's instances others; () when nothing does."""
    if plan.change == "new":
        return ("the group is new",)
    changes = {change.logical_id: change for change in plan.resources}
    if logical_id in changes and changes[logical_id].impact in ("WILL_CREATE", "WILL_REPLACE"):
        return ("the group is new",)
    template = _launch_template(group)
    why = [
        f"{folded.kind} {folded.name}: {folded.before[:12]} → {folded.after[:12]}"
        for folded in plan.folded
        if any(place.startswith(f"Resources.{template}.") for place in folded.places)
    ]
    if template in changes:
        names = [change.name for change in changes[template].properties]
        why += [f"the launch template: {', '.join(names)}"] if names else []
    return tuple(why)


def _launch_template(group: Mapping[str, Any]) -> str | None:
    properties = group.get("Properties", {})
    mixed = properties.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {})
    specification = properties.get("LaunchTemplate") or mixed.get("LaunchTemplateSpecification") or {}
    reference = specification.get("LaunchTemplateId")
    return reference.get("Ref") if isinstance(reference, dict) else None


def _rollout(
    plan: StackPlan, logical_id: str, group: Mapping[str, Any], why: tuple[str, ...], size: GroupSize
) -> Rollout:
    properties = group["Properties"]
    minimum, maximum = _number(properties.get("MinSize")), _number(properties.get("MaxSize"))
    new = why == ("the group is new",)
    running = None if new else size(plan.name, logical_id)
    instances = running if running is not None else _number(properties.get("DesiredCapacity"), minimum)
    steps = [f"starts {_clones(instances)}"] if new else _Steps(plan, group, instances).all()
    path = _path(plan, logical_id)
    course = None if new else _course(group)
    template = plan.template or {}
    return Rollout(
        stack=plan.name,
        environment=plan.environment,
        group=path,
        why=why,
        minimum=minimum,
        maximum=maximum,
        instances=instances,
        running=running,
        steps=tuple(steps),
        forecasts=()
        if course is None
        else tuple(forecasts(course, _times(template, group), instances, _price(template, group))),
    )


def _course(group: Mapping[str, Any]) -> Course | None:
    """Return how a group's instance refresh replaces clones; None when its policy is another one."""
    refresh = group.get("UpdatePolicy", {}).get("AutoScalingInstanceRefresh")
    if refresh is None:
        return None
    preferences: Mapping[str, Any] = refresh.get("Preferences", {})
    in_place = refresh.get("Strategy") == "ReplaceRootVolume"
    return Course(
        "this template",
        _number(preferences.get("MinHealthyPercentage"), 90),
        100 if in_place else _number(preferences.get("MaxHealthyPercentage"), 100),
        in_place=in_place,
        warm_up=_number(preferences.get("InstanceWarmup")),
        checkpoints=tuple(map(_number, preferences.get("CheckpointPercentages") or ())),
        delay=_number(preferences.get("CheckpointDelay"), 3600),
        bake=_number(preferences.get("BakeTime")),
    )


def _times(template: Mapping[str, Any], group: Mapping[str, Any]) -> Times:
    """Return what a clone takes, by the health checks of the group's own target group."""
    resources: Mapping[str, Any] = template.get("Resources", {})
    arns = group["Properties"].get("TargetGroupARNs", [])
    named = [str(arn["Ref"]) for arn in arns if isinstance(arn, dict) and "Ref" in arn]
    targets = [resources[name]["Properties"] for name in named if name in resources]
    if not targets:  # EC2's word is all that counts
        return Times(RUNNING, RUNNING, 0.0, IN_PLACE) if not named else Times()
    slowest = max(
        _number(target.get("HealthCheckIntervalSeconds"), int(INTERVAL))
        * _number(target.get("HealthyThresholdCount"), CHECKS)
        for target in targets
    )
    attributes = {
        entry.get("Key"): entry.get("Value")
        for target in targets
        for entry in target.get("TargetGroupAttributes", [])
    }
    draining = _number(attributes.get("deregistration_delay.timeout_seconds"), int(DRAINING))
    return Times(RUNNING, ANSWERS + slowest, draining, IN_PLACE + slowest)


def _price(template: Mapping[str, Any], group: Mapping[str, Any]) -> float | None:
    """Return what an hour of a clone costs in USD; None when it is not known."""
    launched = template.get("Resources", {}).get(_launch_template(group) or "", {}).get("Properties", {})
    kind = launched.get("LaunchTemplateData", {}).get("InstanceType")
    price = known_prices()["instance"].get(kind)
    return None if price is None else float(price)


def _number(value: object, default: int = 0) -> int:
    """Return a size of the template; what is a reference there is not known here."""
    return int(value) if isinstance(value, int | str) and str(value).isdigit() else default


class _Steps:
    """What a group's update policy does, in order.

    (Amazon EC2 Auto Scaling User Guide, "Instance refresh".)
    """

    def __init__(self, plan: StackPlan, group: Mapping[str, Any], instances: int) -> None:
        self.plan = plan
        self.policy: Mapping[str, Any] = group.get("UpdatePolicy", {})
        self.instances = instances

    def all(self) -> list[str]:
        if "AutoScalingInstanceRefresh" in self.policy:
            refresh = self.policy["AutoScalingInstanceRefresh"]
            preferences = refresh.get("Preferences", {})
            if refresh.get("Strategy") == "ReplaceRootVolume":
                steps = [f"instance refresh replaces the root volume of {_clones(self.instances)}"]
            else:
                steps = self.rolling(preferences)
            return [*steps, *self.conditions(preferences)]
        if "AutoScalingRollingUpdate" in self.policy:
            rolling = self.policy["AutoScalingRollingUpdate"]
            batch, keep = rolling.get("MaxBatchSize", 1), rolling.get("MinInstancesInService", 0)
            return [f"replaces {batch} at a time, {keep} stay in service (AutoScalingRollingUpdate)"]
        if "AutoScalingReplacingUpdate" in self.policy:
            return ["replaces the whole group by a new one (AutoScalingReplacingUpdate)"]
        return [
            "there is no update policy: clones that run stay as they are; only new ones start from the change"
        ]

    def rolling(self, preferences: Mapping[str, Any]) -> list[str]:
        # The defaults are those of the API's RefreshPreferences.
        low, high = preferences.get("MinHealthyPercentage", 90), preferences.get("MaxHealthyPercentage", 100)
        count = self.instances
        at_least = ceil(count * low / 100)
        steps = [f"instance refresh replaces {_clones(count)}"]
        if high > 100:
            ahead = max(1, ceil(count * high / 100) - count)
            steps.append(
                f"starts up to {ahead} at a time before old ones end: "
                f"{at_least} to {count + ahead} run meanwhile"
            )
        else:
            out = max(1, count - at_least)
            steps.append(
                f"ends up to {out} at a time and starts as many: {count - out} to {count} run meanwhile"
            )
        return steps

    def conditions(self, preferences: Mapping[str, Any]) -> list[str]:
        found = []
        if "InstanceWarmup" in preferences:
            found.append(
                "a new clone counts when it is healthy, "
                f"at the earliest {preferences['InstanceWarmup']} s after its launch"
            )
        if preferences.get("CheckpointPercentages"):
            at = ", ".join(f"{percent} %" for percent in preferences["CheckpointPercentages"])
            found.append(f"pauses {preferences.get('CheckpointDelay', 3600)} s at {at}")
        alarms = [self.alarm(alarm) for alarm in preferences.get("AlarmSpecification", {}).get("Alarms", [])]
        if alarms:
            found.append(f"an alarm stops it, and CloudFormation goes back: {', '.join(alarms)}")
        if preferences.get("BakeTime"):
            found.append(f"alarms are watched for another {preferences['BakeTime']} s at the end")
        return found

    def alarm(self, value: object) -> str:
        return (
            _path(self.plan, str(value["Ref"])) if isinstance(value, dict) and "Ref" in value else str(value)
        )


def _path(plan: StackPlan, logical_id: str) -> str:
    """Return the construct path of a resource below its stack, or its logical id if the CDK wrote no path."""
    resource = (plan.template or {}).get("Resources", {}).get(logical_id, {})
    path: str = resource.get("Metadata", {}).get("aws:cdk:path", logical_id)
    return path.removeprefix(f"{plan.name}/").removesuffix("/Resource")


def _clones(count: int) -> str:
    return "1 clone" if count == 1 else f"{count} clones"
