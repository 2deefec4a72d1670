"""What resources are now, in the words of templates: what drift detection compares with.

A reader returns the properties that it knows of a resource, or None when the resource is gone. Only
properties that a template sets are compared, so a reader may return more of them than a template has; one
that it does not return is not compared. Types without a reader are not checked for drift.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from localcloud.core.moto_types import Value
from localcloud.services.cloudformation.resources.base import ApiFailure, Env, Properties, reading
from localcloud.services.cloudformation.resources.ec2.security_groups import ALLOW_ALL, permission

# ``others``: the properties of the stack's other resources, each with its type.
Others = Iterable[tuple[str, Properties]]
Reader = Callable[[Env, str, Properties, Others], dict[str, Value] | None]


def _gone_is_none(look: Callable[[Env, str], dict[str, Value] | None]) -> Reader:
    read = reading(look)
    return lambda env, physical_id, _properties, _others: read(env, physical_id)


def _parameter(env: Env, name: str) -> dict[str, Value] | None:
    named = {"Key": "Name", "Option": "Equals", "Values": [name]}
    found = env.call("ssm", "describe_parameters", ParameterFilters=[named])["Parameters"]
    if not found:
        return None
    value = env.call("ssm", "get_parameter", Name=name)["Parameter"]
    return {**found[0], "Value": value["Value"], "Type": value["Type"]}


def _log_group(env: Env, name: str) -> dict[str, Value] | None:
    listed = env.call("logs", "describe_log_groups", logGroupNamePrefix=name)["logGroups"]
    found = next((group for group in listed if group["logGroupName"] == name), None)
    return None if found is None else {"LogGroupName": name, "RetentionInDays": found.get("retentionInDays")}


def _alarm(env: Env, name: str) -> dict[str, Value] | None:
    found = env.call("cloudwatch", "describe_alarms", AlarmNames=[name]).get("MetricAlarms")
    if not found:
        return None
    # Metrics come back with defaults that a template does not have.
    return {key: value for key, value in found[0].items() if key != "Metrics"}


def _group(env: Env, name: str) -> dict[str, Value] | None:
    found = env.call("autoscaling", "describe_auto_scaling_groups", AutoScalingGroupNames=[name])
    if not found["AutoScalingGroups"]:
        return None
    group = dict(found["AutoScalingGroups"][0])
    return {
        **{key: value for key, value in group.items() if key not in ("Tags", "Instances")},
        "VPCZoneIdentifier": sorted(str(group.get("VPCZoneIdentifier", "")).split(",")),
        "Cooldown": group.get("DefaultCooldown"),
    }


def _security_group(
    env: Env, group_id: str, properties: Properties, others: Others
) -> dict[str, Value] | None:
    try:
        [group] = env.call("ec2", "describe_security_groups", GroupIds=[group_id])["SecurityGroups"]
    except ApiFailure as error:
        if error.gone:
            return None
        raise
    current: dict[str, Value] = {"GroupDescription": group["Description"], "VpcId": group.get("VpcId")}
    for direction, key in (("Ingress", "IpPermissions"), ("Egress", "IpPermissionsEgress")):
        given = list(properties.get(f"SecurityGroup{direction}") or [])
        if direction == "Egress" and not given:
            given = [ALLOW_ALL]
        # Rules that the stack adds by resources of their own are no drift of the group.
        elsewhere = [
            permission(rule)
            for kind, rule in others
            if kind == f"AWS::EC2::SecurityGroup{direction}" and rule.get("GroupId") == group_id
        ]
        rules = _flat(group[key])
        known = [rule for rule in given if _flat([permission(rule)])[0] in rules]
        explained = [*_flat([permission(rule) for rule in given]), *_flat(elsewhere)]
        current[f"SecurityGroup{direction}"] = [*known, *(rule for rule in rules if rule not in explained)]
    return current


def _flat(permissions: Iterable[Mapping[str, Any]]) -> list[dict[str, Value]]:
    """Return permissions of the EC2 API with one source each, without descriptions, in a template's words."""
    kinds = (
        ("IpRanges", "CidrIp", "CidrIp"), ("Ipv6Ranges", "CidrIpv6", "CidrIpv6"),
        ("PrefixListIds", "PrefixListId", "SourcePrefixListId"),
        ("UserIdGroupPairs", "GroupId", "SourceSecurityGroupId"),
    )  # fmt: skip
    return [
        {**{k: p[k] for k in ("IpProtocol", "FromPort", "ToPort") if p.get(k) is not None}, word: source[key]}
        for p in permissions
        for many, key, word in kinds
        for source in p.get(many) or []
    ]


def _role(env: Env, name: str) -> dict[str, Value] | None:
    role = env.call("iam", "get_role", RoleName=name)["Role"]
    attached = env.call("iam", "list_attached_role_policies", RoleName=name)["AttachedPolicies"]
    return {
        "RoleName": name,
        "AssumeRolePolicyDocument": _document(role["AssumeRolePolicyDocument"]),
        "Description": role.get("Description"),
        "MaxSessionDuration": role.get("MaxSessionDuration"),
        "ManagedPolicyArns": sorted(policy["PolicyArn"] for policy in attached),
    }


def _document(given: Value) -> Value:
    return json.loads(unquote(given)) if isinstance(given, str) else given


def _bucket(env: Env, name: str) -> dict[str, Value] | None:
    env.call("s3", "head_bucket", Bucket=name)
    versioning = env.call("s3", "get_bucket_versioning", Bucket=name)
    current: dict[str, Value] = {
        "BucketName": name,
        "VersioningConfiguration": {"Status": versioning.get("Status", "Suspended")},
    }
    try:
        current["PublicAccessBlockConfiguration"] = env.call("s3", "get_public_access_block", Bucket=name)[
            "PublicAccessBlockConfiguration"
        ]
    except ApiFailure as error:
        if error.code != "NoSuchPublicAccessBlockConfiguration":
            raise
        current["PublicAccessBlockConfiguration"] = None
    return current


def _bucket_policy(env: Env, bucket: str) -> dict[str, Value] | None:
    policy = env.call("s3", "get_bucket_policy", Bucket=bucket)["Policy"]
    return {"Bucket": bucket, "PolicyDocument": _document(policy)}


def _topic(env: Env, arn: str) -> dict[str, Value] | None:
    attributes = env.call("sns", "get_topic_attributes", TopicArn=arn)["Attributes"]
    return {"TopicName": arn.rpartition(":")[2], "DisplayName": attributes.get("DisplayName")}


def _target_group(env: Env, arn: str) -> dict[str, Value] | None:
    [group] = env.call("elbv2", "describe_target_groups", TargetGroupArns=[arn])["TargetGroups"]
    return {**group, "Name": group["TargetGroupName"]}


def _listener(env: Env, arn: str) -> dict[str, Value] | None:
    [listener] = env.call("elbv2", "describe_listeners", ListenerArns=[arn])["Listeners"]
    return {key: listener.get(key) for key in ("LoadBalancerArn", "Port", "Protocol", "SslPolicy")}


READERS: dict[str, Reader] = {
    "AWS::AutoScaling::AutoScalingGroup": _gone_is_none(_group),
    "AWS::CloudWatch::Alarm": _gone_is_none(_alarm),
    "AWS::EC2::SecurityGroup": _security_group,
    "AWS::ElasticLoadBalancingV2::Listener": _gone_is_none(_listener),
    "AWS::ElasticLoadBalancingV2::TargetGroup": _gone_is_none(_target_group),
    "AWS::IAM::Role": _gone_is_none(_role),
    "AWS::Logs::LogGroup": _gone_is_none(_log_group),
    "AWS::S3::Bucket": _gone_is_none(_bucket),
    "AWS::S3::BucketPolicy": _gone_is_none(_bucket_policy),
    "AWS::SNS::Topic": _gone_is_none(_topic),
    "AWS::SSM::Parameter": _gone_is_none(_parameter),
}
