"""What belongs to an Auto Scaling group: scaling policies and warm pools.

Policies are stored and described; nothing measures for them here. A warm pool is, too: no clone waits in it.
"""

from __future__ import annotations

from localcloud.services.cloudformation.errors import ResourceFailure
from localcloud.services.cloudformation.resources.base import (
    Attributes,
    Created,
    Env,
    Properties,
    ResourceType,
)

# -- scaling policy


def _put_policy(env: Env, name: str, properties: Properties) -> Attributes:
    given = {key: value for key, value in properties.items() if key != "PolicyName"}
    if "Cooldown" in given:
        given["Cooldown"] = int(given["Cooldown"])
    answer = env.call("autoscaling", "put_scaling_policy", PolicyName=name, **given)
    return {"Arn": answer["PolicyARN"], "PolicyName": name}


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


# -- warm pool


def _put_pool(env: Env, group: str, properties: Properties) -> None:
    """Put a warm pool beside a group; "Warm pools for Amazon EC2 Auto Scaling", limitations: none with Spot capacity."""
    if _wants_spot(env, group):
        raise ResourceFailure(
            "You can't add a warm pool to an Auto Scaling group that has a mixed instances policy with Spot Instances."
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
    "AWS::AutoScaling::ScalingPolicy": ResourceType(
        _create_policy, _update_policy, _delete_policy, frozenset({"AutoScalingGroupName", "PolicyName"})
    ),
    "AWS::AutoScaling::WarmPool": ResourceType(
        _create_pool, _update_pool, _delete_pool, frozenset({"AutoScalingGroupName"})
    ),
}
