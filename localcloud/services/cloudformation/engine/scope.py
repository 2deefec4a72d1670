"""What a template's functions can see.

The stack itself, and of its region the parameters, exports and other stacks.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from localcloud.core.context import CloudContext
from localcloud.core.moto_types import Value
from localcloud.services.cloudformation.engine.model import Desired, Resource, Stack
from localcloud.services.cloudformation.errors import CfnError, ResourceFailure
from localcloud.services.cloudformation.resources.base import ApiFailure, Env
from localcloud.services.cloudformation.template.functions import NO_VALUE, Scope
from localcloud.services.cloudformation.template.references import Lookups

# Parameter type -> the call that finds what it names, and the filter or parameter that takes the name.
NAMED_BY = {
    "AWS::EC2::AvailabilityZone::Name": ("describe_availability_zones", "ZoneNames"),
    "AWS::EC2::Image::Id": ("describe_images", "ImageIds"),
    "AWS::EC2::Instance::Id": ("describe_instances", "InstanceIds"),
    "AWS::EC2::KeyPair::KeyName": ("describe_key_pairs", "KeyNames"),
    "AWS::EC2::SecurityGroup::GroupName": ("describe_security_groups", "GroupNames"),
    "AWS::EC2::SecurityGroup::Id": ("describe_security_groups", "GroupIds"),
    "AWS::EC2::Subnet::Id": ("describe_subnets", "SubnetIds"),
    "AWS::EC2::Volume::Id": ("describe_volumes", "VolumeIds"),
    "AWS::EC2::VPC::Id": ("describe_vpcs", "VpcIds"),
}
# What a rule may ask of what a parameter names, besides its tags.
FACTS: dict[str, tuple[str, ...]] = {
    "AWS::EC2::SecurityGroup::Id": (),
    "AWS::EC2::Subnet::Id": ("AvailabilityZone", "VpcId"),
    "AWS::EC2::VPC::Id": ("DefaultNetworkAcl", "DefaultSecurityGroup"),
}


@dataclass(frozen=True)
class World:
    """The region of a stack.

    ``exported`` returns an export's value or None, ``exporter`` the id of the stack that has it,
    ``importers`` the names of the stacks that use it. ``output`` returns that of a stack's output; it raises
    CfnError.
    """

    context: CloudContext
    region: str
    exported: Callable[[str], str | None]
    exporter: Callable[[str], str | None]
    importers: Callable[[str], list[str]]
    output: Callable[[str, str], str | None]

    def env(self, stack: Stack | None = None) -> Env:
        """Return the way to call this region's APIs, for a stack or for none."""
        name, stack_id = (stack.name, stack.id) if stack is not None else ("", "")
        return Env(self.context, self.region, name, stack_id, {}, "")

    def parameter(self, reference: str) -> str:
        """Return the value of ``NAME`` or ``NAME:VERSION``.

        Raises ResourceFailure in AWS's words when there is none.
        """
        value = self.value(reference)
        if value is None:
            raise ResourceFailure(f"Parameters: [ssm:{reference}] cannot be found.")
        return value

    def secret(self, reference: str) -> str:
        """Return the value of ``SECRET-ID:secret-string:JSON-KEY:VERSION-STAGE:VERSION-ID``.

        All but the first may be left out. Raises ResourceFailure in AWS's words.
        """
        parts = reference.split(":")
        # An ARN has seven parts of its own.
        count = 7 if reference.startswith("arn:") else 1
        secret_id, rest = ":".join(parts[:count]), [*parts[count:], "", "", "", ""]
        kind, key, stage, version = rest[:4]
        if kind not in ("", "SecretString"):
            raise ResourceFailure(f"Incorrect format is used in the following Secret reference: {reference}")
        answer = self.env().call(
            "secretsmanager",
            "get_secret_value",
            SecretId=secret_id,
            VersionStage=stage or None,
            VersionId=version or None,
        )
        value = str(answer.get("SecretString", ""))
        if not key:
            return value
        try:
            found = json.loads(value)
        except ValueError as error:
            raise ResourceFailure("Could not parse SecretString JSON") from error
        if not isinstance(found, dict) or key not in found:
            raise ResourceFailure("Could not find a value associated with JSONKey in SecretString")
        return found[key] if isinstance(found[key], str) else json.dumps(found[key])

    @property
    def lookups(self) -> Lookups:
        """What looks the dynamic references of resources up."""
        return {"ssm": self.parameter, "secretsmanager": self.secret}

    def has(self, kind: str, name: str) -> bool:
        """Say whether there is a thing of a parameter type such as ``AWS::EC2::VPC::Id``."""
        env = self.env()
        try:
            if kind == "AWS::Route53::HostedZone::Id":
                answer = env.call("route53", "get_hosted_zone", Id=name)
            else:
                operation, key = NAMED_BY[kind]
                answer = env.call("ec2", operation, **{key: [name]})
        except ResourceFailure:  # unknown, or not even of an id's form
            return False
        return any(bool(found) for key, found in answer.items() if key != "ResponseMetadata")

    def fact(self, kind: str, name: str, attribute: str) -> str | None:
        """Return what ``Fn::ValueOf`` finds of a VPC, a subnet or a security group, or None.

        "Rule-specific intrinsic functions", supported attributes: the tags of each, the zone and VPC of a
        subnet, the default security group and network ACL of a VPC.
        """
        if kind not in FACTS:
            return None
        env = self.env()
        operation, key = NAMED_BY[kind]
        answer = env.call("ec2", operation, **{key: [name]})
        [thing] = next(found for part, found in answer.items() if part != "ResponseMetadata")
        if attribute.startswith("Tags."):
            tags = {tag["Key"]: str(tag["Value"]) for tag in thing.get("Tags") or []}
            return tags.get(attribute.removeprefix("Tags."))
        if attribute not in FACTS[kind]:
            return None
        if kind == "AWS::EC2::VPC::Id":
            return self._default_of(name, attribute)
        return str(thing[attribute])

    def _default_of(self, vpc: str, attribute: str) -> str:
        of_vpc = {"Name": "vpc-id", "Values": [vpc]}
        if attribute == "DefaultSecurityGroup":
            named = {"Name": "group-name", "Values": ["default"]}
            [group] = self.env().call("ec2", "describe_security_groups", Filters=[of_vpc, named])[
                "SecurityGroups"
            ]
            return str(group["GroupId"])
        default = {"Name": "default", "Values": ["true"]}
        [acl] = self.env().call("ec2", "describe_network_acls", Filters=[of_vpc, default])["NetworkAcls"]
        return str(acl["NetworkAclId"])

    def value(self, name: str) -> str | None:
        """Return a value of the Parameter Store, or None."""
        try:
            return str(self.env().call("ssm", "get_parameter", Name=name)["Parameter"]["Value"])
        except ApiFailure as error:
            if error.gone:
                return None
            raise


def scope_of(stack: Stack, desired: Desired, world: World) -> Scope:
    """Return the scope of the stack's template: pseudo parameters, parameters, resources, exports."""
    context = world.context
    names = {
        "AWS::AccountId": context.account,
        "AWS::NoValue": NO_VALUE,
        "AWS::NotificationARNs": [],
        "AWS::Partition": "aws",
        "AWS::Region": world.region,
        "AWS::StackId": stack.id,
        "AWS::StackName": stack.name,
        "AWS::URLSuffix": "amazonaws.com",
        **{name: parameter.value for name, parameter in desired.parameters.items()},
    }

    def found(name: str) -> Resource:
        if name not in stack.resources:
            raise CfnError(
                f"Template format error: Unresolved resource dependencies [{name}] in the template"
            )
        return stack.resources[name]

    def attribute(name: str, attribute_name: str) -> Value:
        resource = found(name)
        if attribute_name not in resource.attributes:
            raise CfnError(
                f"Template error: resource {name} does not support attribute type {attribute_name} in "
                "Fn::GetAtt"
            )
        return resource.attributes[attribute_name]

    return Scope(
        desired.template,
        names,
        lambda name: found(name).physical_id,
        attribute,
        world.exported,
        world.output,
    )
