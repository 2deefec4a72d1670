"""Auto Scaling groups, with the instance refresh that an UpdatePolicy asks for, and what belongs to them.

Scheduled actions and lifecycle hooks act. Scaling policies and warm pools are stored and described: nothing
measures for a policy, no clone waits in a pool.

Source: "UpdatePolicy attribute" and "AWS::AutoScaling::AutoScalingGroup", CloudFormation user guide.
"""

from __future__ import annotations

from localcloud.core.moto_types import Value
from localcloud.core.waiting import wait_until
from localcloud.services.cloudformation.errors import ResourceFailure
from localcloud.services.cloudformation.resources.base import (
    ApiFailure,
    Attributes,
    Created,
    Env,
    Lookup,
    Properties,
    ResourceType,
    by,
    pick,
)

SETTINGS = (
    "MinSize", "MaxSize", "DesiredCapacity", "LaunchConfigurationName", "LaunchTemplate",
    "MixedInstancesPolicy", "AvailabilityZones", "HealthCheckType", "HealthCheckGracePeriod",
    "DefaultInstanceWarmup", "TerminationPolicies", "NewInstancesProtectedFromScaleIn", "CapacityRebalance",
    "MaxInstanceLifetime", "InstanceMaintenancePolicy", "PlacementGroup", "ServiceLinkedRoleARN", "Context",
)  # fmt: skip
SIZES = ("MinSize", "MaxSize", "DesiredCapacity")
# A change of these makes the running instances differ from the group's definition.
REFRESHED_BY = ("LaunchConfigurationName", "LaunchTemplate", "MixedInstancesPolicy", "VPCZoneIdentifier")
EMPTYING_LIMIT = 300  # seconds for the instances of a group that is deleted
POLL = 0.5  # seconds


def _settings(properties: Properties) -> dict[str, Value]:
    given: dict[str, Value] = pick(properties, *SETTINGS)
    if "VPCZoneIdentifier" in properties:
        given["VPCZoneIdentifier"] = ",".join(properties["VPCZoneIdentifier"])
    if "Cooldown" in properties:
        given["DefaultCooldown"] = properties["Cooldown"]
    return given


def _tags(env: Env, name: str, properties: Properties) -> list[dict[str, Value]]:
    """Return the group's tags; CloudFormation's own and the stack's go on to the instances."""
    given = {tag["Key"]: tag for tag in properties.get("Tags") or []}
    spread = {**env.stack_tags, **env.own_tags}
    tags = {
        key: {"Key": key, "Value": value, "PropagateAtLaunch": True} for key, value in spread.items()
    } | given
    return [{"ResourceType": "auto-scaling-group", "ResourceId": name, **tag} for tag in tags.values()]


def _metrics(env: Env, name: str, properties: Properties) -> None:
    for collection in properties.get("MetricsCollection") or []:
        env.call("autoscaling", "enable_metrics_collection", AutoScalingGroupName=name, **collection)


def _attributes(env: Env, name: str) -> Attributes:
    groups = env.call("autoscaling", "describe_auto_scaling_groups", AutoScalingGroupNames=[name])
    return {"AutoScalingGroupARN": groups["AutoScalingGroups"][0]["AutoScalingGroupARN"]}


def _read(env: Env, name: str) -> Attributes | None:
    found = env.call("autoscaling", "describe_auto_scaling_groups", AutoScalingGroupNames=[name])
    return _attributes(env, name) if found["AutoScalingGroups"] else None


def _cancel(env: Env, name: str) -> None:
    """End the refresh that an update waits for."""
    try:
        env.call("autoscaling", "cancel_instance_refresh", AutoScalingGroupName=name)
    except ApiFailure as error:
        if error.code != "ActiveInstanceRefreshNotFound":
            raise


def _create(env: Env, properties: Properties) -> Created:
    name = properties.get("AutoScalingGroupName") or env.name()
    env.call(
        "autoscaling",
        "create_auto_scaling_group",
        AutoScalingGroupName=name,
        TargetGroupARNs=properties.get("TargetGroupARNs"),
        Tags=_tags(env, name, properties),
        LifecycleHookSpecificationList=properties.get("LifecycleHookSpecificationList"),
        **_settings(properties),
    )
    env.exists(name)
    _metrics(env, name, properties)
    return Created(name, _attributes(env, name))


def _update(env: Env, name: str, old: Properties, new: Properties) -> Attributes:
    settings = _settings(new)
    scheduled = env.update_policy.get("AutoScalingScheduledAction", {})
    if str(scheduled.get("IgnoreUnmodifiedGroupSizeProperties")).lower() == "true":
        settings = {k: v for k, v in settings.items() if k not in SIZES or old.get(k) != new.get(k)}
    env.call("autoscaling", "update_auto_scaling_group", AutoScalingGroupName=name, **settings)
    before, after = (set(properties.get("TargetGroupARNs") or []) for properties in (old, new))
    if after - before:
        env.call(
            "autoscaling",
            "attach_load_balancer_target_groups",
            AutoScalingGroupName=name,
            TargetGroupARNs=sorted(after - before),
        )
    if before - after:
        env.call(
            "autoscaling",
            "detach_load_balancer_target_groups",
            AutoScalingGroupName=name,
            TargetGroupARNs=sorted(before - after),
        )
    _update_hooks(env, name, old, new)
    env.call("autoscaling", "create_or_update_tags", Tags=_tags(env, name, new))
    _metrics(env, name, new)
    if any(old.get(key) != new.get(key) for key in REFRESHED_BY):
        _refresh(env, name)
    return _attributes(env, name)


def _update_hooks(env: Env, name: str, old: Properties, new: Properties) -> None:
    before, after = (
        {hook["LifecycleHookName"]: hook for hook in properties.get("LifecycleHookSpecificationList") or []}
        for properties in (old, new)
    )
    for gone in before.keys() - after.keys():
        env.call("autoscaling", "delete_lifecycle_hook", AutoScalingGroupName=name, LifecycleHookName=gone)
    for hook in after.values():
        if before.get(hook["LifecycleHookName"]) != hook:
            env.call("autoscaling", "put_lifecycle_hook", AutoScalingGroupName=name, **hook)


def _refresh(env: Env, name: str) -> None:
    """Do what UpdatePolicy says when the instances no longer are what the group defines; wait for it."""
    policy = env.update_policy
    if "AutoScalingInstanceRefresh" in policy:
        _instance_refresh(env, name, policy["AutoScalingInstanceRefresh"])
        return
    for other in ("AutoScalingRollingUpdate", "AutoScalingReplacingUpdate"):
        if other in policy and policy[other].get("WillReplace", True) is not False:
            raise ResourceFailure(f"The local cloud does not support the UpdatePolicy {other}")


def _instance_refresh(env: Env, name: str, policy: Properties) -> None:
    """Refresh the instances; on the way back without alarms, bake time and checkpoints.

    What AWS does with an alarm that is still firing while it rolls a stack back is not documented. Here such
    an alarm does not stop the rollback, as it was the reason for it.
    """
    if policy.get("Strategy") != "Rolling":
        raise ResourceFailure(
            "The local cloud refreshes instances with the strategy Rolling only, not "
            f"{policy.get('Strategy')}"
        )
    hook = env.context.hooks.instance_refresh
    if hook is None:
        raise ResourceFailure(
            "The local cloud runs without Auto Scaling: there is nobody to refresh the instances"
        )
    left_out = ("AlarmSpecification", "BakeTime", "CheckpointPercentages", "CheckpointDelay")
    if env.rolling_back:
        kept = {k: v for k, v in (policy.get("Preferences") or {}).items() if k not in left_out}
        policy = {**policy, "Preferences": kept}
    hook(name, policy)


def _delete(env: Env, name: str, properties: Properties) -> None:
    """Delete the group and wait until its instances are terminated: other resources may go only then."""
    groups = env.call("autoscaling", "describe_auto_scaling_groups", AutoScalingGroupNames=[name])[
        "AutoScalingGroups"
    ]
    instances = [instance["InstanceId"] for group in groups for instance in group["Instances"]]
    env.call("autoscaling", "delete_auto_scaling_group", AutoScalingGroupName=name, ForceDelete=True)
    if not wait_until(lambda: not _alive(env, instances), limit=EMPTYING_LIMIT, pause=POLL):
        raise ResourceFailure(
            f"Instances did not terminate within {EMPTYING_LIMIT} s: {', '.join(_alive(env, instances))}"
        )


def _alive(env: Env, instances: list[str]) -> list[str]:
    """Return those of the instances that are not terminated."""
    if not instances:
        return []
    found = env.call("ec2", "describe_instances", Filters=[{"Name": "instance-id", "Values": instances}])
    return [
        i["InstanceId"]
        for r in found["Reservations"]
        for i in r["Instances"]
        if i["State"]["Name"] != "terminated"
    ]


# -- scaling policy


def _put_policy(env: Env, name: str, properties: Properties) -> Attributes:
    given = {key: value for key, value in properties.items() if key != "PolicyName"}
    if "Cooldown" in given:
        given["Cooldown"] = int(given["Cooldown"])
    answer = env.call("autoscaling", "put_scaling_policy", PolicyName=name, **given)
    return {"Arn": answer["PolicyARN"], "PolicyName": name}


def _policy_arn(env: Env, properties: Properties) -> str | None:
    name, group = properties.get("PolicyName"), properties["AutoScalingGroupName"]
    if not name:
        return None
    found = env.call("autoscaling", "describe_policies", AutoScalingGroupName=group, PolicyNames=[name])
    return next((policy["PolicyARN"] for policy in found["ScalingPolicies"]), None)


def _read_policy(env: Env, arn: str) -> Attributes | None:
    listed = env.call("autoscaling", "describe_policies")["ScalingPolicies"]
    return {"Arn": arn, "PolicyName": _policy_name(arn)} if arn in [p["PolicyARN"] for p in listed] else None


def _read_pool(env: Env, group: str) -> Attributes | None:
    found = env.call("autoscaling", "describe_warm_pool", AutoScalingGroupName=group)
    return {} if found.get("WarmPoolConfiguration") else None


def _create_policy(env: Env, properties: Properties) -> Created:
    attributes = _put_policy(env, properties.get("PolicyName") or env.name(), properties)
    return Created(attributes["Arn"], attributes)


def _policy_name(arn: str) -> str:
    return arn.rpartition("policyName/")[2]


def _update_policy(env: Env, arn: str, old: Properties, new: Properties) -> Attributes:
    return _put_policy(env, _policy_name(arn), new)


def _delete_policy(env: Env, arn: str, properties: Properties) -> None:
    group = properties["AutoScalingGroupName"]
    env.call("autoscaling", "delete_policy", AutoScalingGroupName=group, PolicyName=_policy_name(arn))


# -- scheduled action


def _put_action(env: Env, name: str, properties: Properties) -> Attributes:
    env.call("autoscaling", "put_scheduled_update_group_action", ScheduledActionName=name, **properties)
    return {"ScheduledActionName": name}


def _create_action(env: Env, properties: Properties) -> Created:
    name = env.name()
    return Created(name, _put_action(env, name, properties))


def _update_action(env: Env, name: str, old: Properties, new: Properties) -> Attributes:
    return _put_action(env, name, new)


def _delete_action(env: Env, name: str, properties: Properties) -> None:
    group = properties["AutoScalingGroupName"]
    env.call("autoscaling", "delete_scheduled_action", AutoScalingGroupName=group, ScheduledActionName=name)


# -- lifecycle hook


def _create_hook(env: Env, properties: Properties) -> Created:
    name = properties.get("LifecycleHookName") or env.name()
    return Created(name, _update_hook(env, name, {}, properties))


def _update_hook(env: Env, name: str, old: Properties, new: Properties) -> Attributes:
    env.call("autoscaling", "put_lifecycle_hook", **{**new, "LifecycleHookName": name})
    return {}


def _delete_hook(env: Env, name: str, properties: Properties) -> None:
    group = properties["AutoScalingGroupName"]
    env.call("autoscaling", "delete_lifecycle_hook", AutoScalingGroupName=group, LifecycleHookName=name)


# -- warm pool


def _put_pool(env: Env, group: str, properties: Properties) -> None:
    """Put a warm pool beside a group; "Warm pools for Amazon EC2 Auto Scaling", limitations.

    None with Spot capacity.
    """
    if _wants_spot(env, group):
        raise ResourceFailure(
            "You can't add a warm pool to an Auto Scaling group that has a mixed instances policy with Spot "
            "Instances."
        )
    env.call("autoscaling", "put_warm_pool", **properties)


def _wants_spot(env: Env, group: str) -> bool:
    found = env.call("autoscaling", "describe_auto_scaling_groups", AutoScalingGroupNames=[group])
    policy = found["AutoScalingGroups"][0].get("MixedInstancesPolicy", {})
    share = policy.get("InstancesDistribution", {}).get("OnDemandPercentageAboveBaseCapacity", 100)
    return int(share) < 100


def _create_pool(env: Env, properties: Properties) -> Created:
    group = properties["AutoScalingGroupName"]
    _put_pool(env, group, properties)
    return Created(group)


def _update_pool(env: Env, group: str, old: Properties, new: Properties) -> Attributes:
    _put_pool(env, group, new)
    return {}


def _delete_pool(env: Env, group: str, properties: Properties) -> None:
    env.call("autoscaling", "delete_warm_pool", AutoScalingGroupName=group, ForceDelete=True)


TYPES = {
    "AWS::AutoScaling::AutoScalingGroup": ResourceType(
        _create,
        _update,
        _delete,
        frozenset({"AutoScalingGroupName"}),
        Lookup(by("AutoScalingGroupName"), _read),
        _cancel,
    ),
    "AWS::AutoScaling::ScalingPolicy": ResourceType(
        _create_policy,
        _update_policy,
        _delete_policy,
        frozenset({"AutoScalingGroupName", "PolicyName"}),
        Lookup(_policy_arn, _read_policy),
    ),
    "AWS::AutoScaling::ScheduledAction": ResourceType(
        _create_action, _update_action, _delete_action, frozenset({"AutoScalingGroupName"})
    ),
    "AWS::AutoScaling::LifecycleHook": ResourceType(
        _create_hook,
        _update_hook,
        _delete_hook,
        frozenset({"AutoScalingGroupName", "LifecycleHookName"}),
    ),
    "AWS::AutoScaling::WarmPool": ResourceType(
        _create_pool,
        _update_pool,
        _delete_pool,
        frozenset({"AutoScalingGroupName"}),
        Lookup(by("AutoScalingGroupName"), _read_pool),
    ),
}
