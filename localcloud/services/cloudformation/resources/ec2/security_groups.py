"""Security groups and their rules."""

from __future__ import annotations

from localcloud.core.moto_types import Value
from localcloud.services.cloudformation.resources.base import (
    ApiFailure,
    Attributes,
    Created,
    Env,
    Properties,
    ResourceType,
)
from localcloud.services.cloudformation.resources.ec2.network import tag

ALLOW_ALL = {"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}


def permission(rule: Properties) -> dict[str, Value]:
    """Return a template's rule as an IpPermission of the EC2 API."""
    result: dict[str, Value] = {"IpProtocol": str(rule["IpProtocol"])}
    for name in ("FromPort", "ToPort"):
        if name in rule and str(rule["IpProtocol"]) != "-1":
            result[name] = int(rule[name])
    about = {"Description": rule["Description"]} if "Description" in rule else {}
    if "CidrIp" in rule:
        result["IpRanges"] = [{"CidrIp": rule["CidrIp"], **about}]
    if "CidrIpv6" in rule:
        result["Ipv6Ranges"] = [{"CidrIpv6": rule["CidrIpv6"], **about}]
    for name in ("SourcePrefixListId", "DestinationPrefixListId"):
        if name in rule:
            result["PrefixListIds"] = [{"PrefixListId": rule[name], **about}]
    for name in ("SourceSecurityGroupId", "DestinationSecurityGroupId"):
        if name in rule:
            result["UserIdGroupPairs"] = [{"GroupId": rule[name], **about}]
    return result


def _change(env: Env, group_id: str, direction: str, old: Properties, new: Properties) -> None:
    """Revoke the inline rules that are gone and authorize the new ones. ``direction``: ingress or egress."""
    key = f"SecurityGroup{direction.capitalize()}"
    before, after = (list(properties.get(key) or []) for properties in (old, new))
    if direction == "egress":  # a group without egress rules has AWS's default: everything
        before, after = before or [ALLOW_ALL], after or [ALLOW_ALL]
    gone = [permission(rule) for rule in before if rule not in after]
    added = [permission(rule) for rule in after if rule not in before]
    for verb, rules in (("revoke", gone), ("authorize", added)):
        operation = f"{verb}_security_group_{direction}"
        if rules and not env.rolling_back:
            env.call("ec2", operation, GroupId=group_id, IpPermissions=rules)
        for rule in rules if env.rolling_back else ():  # some may be as they were: the update got only so far
            try:
                env.call("ec2", operation, GroupId=group_id, IpPermissions=[rule])
            except ApiFailure as error:
                if error.code not in ("InvalidPermission.NotFound", "InvalidPermission.Duplicate"):
                    raise


def _attributes(group_id: str, properties: Properties) -> Attributes:
    return {"GroupId": group_id, "Id": group_id, "VpcId": properties.get("VpcId", "")}


def _create(env: Env, properties: Properties) -> Created:
    group_id = env.call(
        "ec2",
        "create_security_group",
        GroupName=properties.get("GroupName") or env.name(),
        Description=properties["GroupDescription"],
        VpcId=properties.get("VpcId"),
    )["GroupId"]
    env.exists(group_id)
    tag(env, group_id, properties)
    _change(env, group_id, "ingress", {}, properties)
    _change(env, group_id, "egress", {}, properties)
    return Created(group_id, _attributes(group_id, properties))


def _update(env: Env, group_id: str, old: Properties, new: Properties) -> Attributes:
    _change(env, group_id, "ingress", old, new)
    _change(env, group_id, "egress", old, new)
    tag(env, group_id, new)
    return _attributes(group_id, new)


def _delete(env: Env, group_id: str, properties: Properties) -> None:
    env.call("ec2", "delete_security_group", GroupId=group_id)


def _rule_type(direction: str) -> ResourceType:
    """Return the type for a rule on its own: AWS::EC2::SecurityGroupIngress or …Egress."""

    def create(env: Env, properties: Properties) -> Created:
        answer = env.call(
            "ec2",
            f"authorize_security_group_{direction}",
            GroupId=properties["GroupId"],
            IpPermissions=[permission(properties)],
        )
        rule_id = answer["SecurityGroupRules"][0]["SecurityGroupRuleId"]
        return Created(rule_id, {"Id": rule_id})

    def delete(env: Env, rule_id: str, properties: Properties) -> None:
        env.call(
            "ec2",
            f"revoke_security_group_{direction}",
            GroupId=properties["GroupId"],
            IpPermissions=[permission(properties)],
        )

    return ResourceType(create, None, delete)


TYPES = {
    "AWS::EC2::SecurityGroup": ResourceType(
        _create, _update, _delete, frozenset({"GroupName", "GroupDescription", "VpcId"})
    ),
    "AWS::EC2::SecurityGroupIngress": _rule_type("ingress"),
    "AWS::EC2::SecurityGroupEgress": _rule_type("egress"),
}
