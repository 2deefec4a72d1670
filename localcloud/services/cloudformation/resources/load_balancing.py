"""Application and network load balancers, their listeners, rules and target groups."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Mapping
from typing import Any

from localcloud.core.moto_types import Value
from localcloud.services.cloudformation.errors import ResourceFailure
from localcloud.services.cloudformation.resources.base import (
    ApiFailure,
    Attributes,
    Created,
    Env,
    Properties,
    ResourceType,
    pick,
)

# The service that writes access logs.
WRITER = "logdelivery.elasticloadbalancing.amazonaws.com"


# -- load balancer


def _attributes_of(env: Env, arn: str) -> Attributes:
    found = env.call("elbv2", "describe_load_balancers", LoadBalancerArns=[arn])["LoadBalancers"][0]
    return {
        "LoadBalancerArn": arn,
        "DNSName": found["DNSName"],
        "CanonicalHostedZoneID": found.get("CanonicalHostedZoneId", ""),
        "LoadBalancerFullName": arn.partition(":loadbalancer/")[2],
        "LoadBalancerName": found["LoadBalancerName"],
        "SecurityGroups": found.get("SecurityGroups", []),
    }


def _set_balancer(env: Env, arn: str, properties: Properties) -> None:
    attributes = properties.get("LoadBalancerAttributes")
    if attributes:
        _check_log_bucket(env, {entry["Key"]: entry["Value"] for entry in attributes})
        env.call("elbv2", "modify_load_balancer_attributes", LoadBalancerArn=arn, Attributes=attributes)


def _create_balancer(env: Env, properties: Properties) -> Created:
    given = pick(properties, "Subnets", "SubnetMappings", "SecurityGroups", "Scheme", "Type", "IpAddressType")
    arn = env.call(
        "elbv2",
        "create_load_balancer",
        Name=properties.get("Name") or env.name(32),
        Tags=env.tag_list(properties),
        **given,
    )["LoadBalancers"][0]["LoadBalancerArn"]
    env.exists(arn)
    _set_balancer(env, arn, properties)
    return Created(arn, _attributes_of(env, arn))


def _update_balancer(env: Env, arn: str, old: Properties, new: Properties) -> Attributes:
    if old.get("Subnets") != new.get("Subnets"):
        env.call("elbv2", "set_subnets", LoadBalancerArn=arn, Subnets=new["Subnets"])
    if old.get("SecurityGroups") != new.get("SecurityGroups"):
        groups = new.get("SecurityGroups", [])
        env.call("elbv2", "set_security_groups", LoadBalancerArn=arn, SecurityGroups=groups)
    _set_balancer(env, arn, new)
    env.call("elbv2", "add_tags", ResourceArns=[arn], Tags=env.tag_list(new))
    return _attributes_of(env, arn)


def _delete_balancer(env: Env, arn: str, properties: Properties) -> None:
    env.call("elbv2", "delete_load_balancer", LoadBalancerArn=arn)


# -- access logs


def _check_log_bucket(env: Env, attributes: Mapping[str, str]) -> None:
    """Raise ResourceFailure in AWS's words when access logs are wanted in a bucket that does not take them.

    Source: "Enable access logs for your Application Load Balancer", ELB user guide: Elastic Load Balancing
    writes a test object as soon as the attribute is set, and refuses the attribute when it may not.
    """
    if str(attributes.get("access_logs.s3.enabled")).lower() != "true":
        return
    bucket, prefix = attributes.get("access_logs.s3.bucket", ""), attributes.get("access_logs.s3.prefix", "")
    test_file = "/".join(
        part for part in (prefix, f"AWSLogs/{env.context.account}/ELBAccessLogTestFile") if part
    )
    try:
        policy = json.loads(env.call("s3", "get_bucket_policy", Bucket=bucket)["Policy"])
    except ApiFailure as error:
        if not error.gone:
            raise
        policy = {"Statement": []}
    if not any(_lets_write(line, f"arn:aws:s3:::{bucket}/{test_file}") for line in policy["Statement"]):
        raise ResourceFailure(
            f'Resource handler returned message: "Access Denied for bucket: {bucket}. '
            'Please check S3bucket permission (Service: elbv2, Error Code: InvalidConfigurationRequest)"'
        )


def _lets_write(statement: Mapping[str, Any], object_arn: str) -> bool:
    principal = statement.get("Principal")
    services = _list(principal.get("Service")) if isinstance(principal, dict) else []
    return (
        statement.get("Effect") == "Allow"
        and WRITER in services
        and any(fnmatch.fnmatchcase("s3:PutObject", action) for action in _list(statement.get("Action")))
        and any(fnmatch.fnmatchcase(object_arn, resource) for resource in _list(statement.get("Resource")))
    )


def _list(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else [] if value is None else [str(value)]


# -- target group

HEALTH = (
    "HealthCheckProtocol", "HealthCheckPort", "HealthCheckEnabled", "HealthCheckPath",
    "HealthCheckIntervalSeconds", "HealthCheckTimeoutSeconds", "HealthyThresholdCount",
    "UnhealthyThresholdCount", "Matcher",
)  # fmt: skip


def _group_attributes(env: Env, arn: str) -> Attributes:
    found = env.call("elbv2", "describe_target_groups", TargetGroupArns=[arn])["TargetGroups"][0]
    return {
        "TargetGroupArn": arn,
        "TargetGroupFullName": arn.rpartition(":")[2],
        "TargetGroupName": found["TargetGroupName"],
        "LoadBalancerArns": found.get("LoadBalancerArns", []),
    }


def _set_group(env: Env, arn: str, properties: Properties) -> None:
    attributes = properties.get("TargetGroupAttributes")
    if attributes:
        env.call("elbv2", "modify_target_group_attributes", TargetGroupArn=arn, Attributes=attributes)


def _create_group(env: Env, properties: Properties) -> Created:
    given = pick(
        properties, "Protocol", "ProtocolVersion", "Port", "VpcId", "TargetType", "IpAddressType", *HEALTH
    )
    arn = env.call(
        "elbv2",
        "create_target_group",
        Name=properties.get("Name") or env.name(32),
        Tags=env.tag_list(properties),
        **given,
    )["TargetGroups"][0]["TargetGroupArn"]
    env.exists(arn)
    _set_group(env, arn, properties)
    if properties.get("Targets"):
        env.call("elbv2", "register_targets", TargetGroupArn=arn, Targets=properties["Targets"])
    return Created(arn, _group_attributes(env, arn))


def _update_group(env: Env, arn: str, old: Properties, new: Properties) -> Attributes:
    health = pick(new, *HEALTH)
    if health and health != pick(old, *HEALTH):
        env.call("elbv2", "modify_target_group", TargetGroupArn=arn, **health)
    _set_group(env, arn, new)
    before, after = (list(properties.get("Targets") or []) for properties in (old, new))
    if [target for target in after if target not in before]:
        env.call("elbv2", "register_targets", TargetGroupArn=arn, Targets=after)
    gone = [target for target in before if target not in after]
    if gone:
        env.call("elbv2", "deregister_targets", TargetGroupArn=arn, Targets=gone)
    env.call("elbv2", "add_tags", ResourceArns=[arn], Tags=env.tag_list(new))
    return _group_attributes(env, arn)


def _delete_group(env: Env, arn: str, properties: Properties) -> None:
    env.call("elbv2", "delete_target_group", TargetGroupArn=arn)


# -- listener and rules


LISTENER = ("Protocol", "Port", "SslPolicy", "Certificates", "DefaultActions", "AlpnPolicy")


def _create_listener(env: Env, properties: Properties) -> Created:
    given: dict[str, Value] = pick(properties, "LoadBalancerArn", *LISTENER)
    arn = env.call("elbv2", "create_listener", **given)["Listeners"][0]["ListenerArn"]
    env.exists(arn)
    _set_listener(env, arn, properties)
    return Created(arn, {"ListenerArn": arn})


def _set_listener(env: Env, arn: str, properties: Properties) -> None:
    attributes = properties.get("ListenerAttributes")
    if attributes:
        env.call("elbv2", "modify_listener_attributes", ListenerArn=arn, Attributes=attributes)


def _update_listener(env: Env, arn: str, old: Properties, new: Properties) -> Attributes:
    env.call("elbv2", "modify_listener", ListenerArn=arn, **pick(new, *LISTENER))
    _set_listener(env, arn, new)
    return {"ListenerArn": arn}


def _delete_listener(env: Env, arn: str, properties: Properties) -> None:
    try:
        env.call("elbv2", "delete_listener", ListenerArn=arn)
    except ApiFailure as error:
        if not error.gone:
            raise


def _create_rule(env: Env, properties: Properties) -> Created:
    given = pick(properties, "ListenerArn", "Conditions", "Priority", "Actions")
    arn = env.call("elbv2", "create_rule", **given)["Rules"][0]["RuleArn"]
    return Created(arn, {"RuleArn": arn, "IsDefault": False})


def _update_rule(env: Env, arn: str, old: Properties, new: Properties) -> Attributes:
    env.call("elbv2", "modify_rule", RuleArn=arn, **pick(new, "Conditions", "Actions"))
    if old.get("Priority") != new.get("Priority"):
        priorities = [{"RuleArn": arn, "Priority": new["Priority"]}]
        env.call("elbv2", "set_rule_priorities", RulePriorities=priorities)
    return {"RuleArn": arn, "IsDefault": False}


def _delete_rule(env: Env, arn: str, properties: Properties) -> None:
    env.call("elbv2", "delete_rule", RuleArn=arn)


TYPES = {
    "AWS::ElasticLoadBalancingV2::LoadBalancer": ResourceType(
        _create_balancer, _update_balancer, _delete_balancer, frozenset({"Name", "Scheme", "Type"})
    ),
    "AWS::ElasticLoadBalancingV2::TargetGroup": ResourceType(
        _create_group,
        _update_group,
        _delete_group,
        frozenset({"Name", "Port", "Protocol", "ProtocolVersion", "TargetType", "VpcId", "IpAddressType"}),
    ),
    "AWS::ElasticLoadBalancingV2::Listener": ResourceType(
        _create_listener, _update_listener, _delete_listener, frozenset({"LoadBalancerArn"})
    ),
    "AWS::ElasticLoadBalancingV2::ListenerRule": ResourceType(
        _create_rule, _update_rule, _delete_rule, frozenset({"ListenerArn"})
    ),
}
