"""Instances that are no group's.

Source: "AWS::EC2::Instance", CloudFormation template reference. What the local cloud cannot do for an
instance it refuses by the property's name.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from localcloud.core.moto_types import Value
from localcloud.core.waiting import wait_until
from localcloud.services.cloudformation.errors import ResourceFailure
from localcloud.services.cloudformation.resources.base import (
    Attributes,
    Created,
    Env,
    Properties,
    ResourceType,
    changed_keys,
    pick,
)
from localcloud.services.cloudformation.resources.ec2.network import tag

# Taken as they are by RunInstances.
PLAIN = (
    "ImageId", "InstanceType", "KeyName", "SubnetId", "SecurityGroupIds", "PrivateIpAddress",
    "LaunchTemplate", "EbsOptimized", "DisableApiTermination", "InstanceInitiatedShutdownBehavior",
    "MetadataOptions",
)  # fmt: skip
SHAPED = (
    "AvailabilityZone", "BlockDeviceMappings", "IamInstanceProfile", "Monitoring", "NetworkInterfaces",
    "PropagateTagsToVolumeOnCreation", "SourceDestCheck", "Tags", "Tenancy", "UserData",
)  # fmt: skip
OF_INTERFACES = (
    "AssociatePublicIpAddress", "DeleteOnTermination", "Description", "DeviceIndex", "NetworkInterfaceId",
    "PrivateIpAddress", "SubnetId",
)  # fmt: skip
# "Update requires: Replacement". Of block device mappings AWS changes DeleteOnTermination without.
REPLACES = frozenset(
    {
        "AvailabilityZone", "BlockDeviceMappings", "ImageId", "KeyName", "LaunchTemplate",
        "NetworkInterfaces", "PrivateIpAddress", "SubnetId",
    }
)  # fmt: skip
# What changes in place here; of what else AWS changes in place, the update fails and names it.
UPDATES = frozenset(
    {
        "DisableApiTermination", "IamInstanceProfile", "InstanceInitiatedShutdownBehavior",
        "MetadataOptions", "PropagateTagsToVolumeOnCreation", "SecurityGroupIds", "SourceDestCheck", "Tags",
        "UserData",
    }
)  # fmt: skip
LIMIT = 300  # seconds for an instance to start, to stop or to be gone
POLL = 0.2  # seconds


def _create(env: Env, properties: Properties) -> Created:
    unsupported = properties.keys() - {*PLAIN, *SHAPED}
    if properties.get("Tenancy", "default") != "default":
        unsupported |= {"Tenancy"}
    if unsupported:
        raise ResourceFailure(
            f"The local cloud does not support of AWS::EC2::Instance: {', '.join(sorted(unsupported))}"
        )
    reservation = env.call("ec2", "run_instances", MinCount=1, MaxCount=1, **_launch(env, properties))
    instance_id = reservation["Instances"][0]["InstanceId"]
    env.exists(instance_id)
    tag(env, instance_id, properties)
    _settle(env, instance_id, "running")
    _modify(env, instance_id, SourceDestCheck=properties.get("SourceDestCheck"))
    return Created(instance_id, _attributes(env, instance_id))


def _launch(env: Env, properties: Properties) -> dict[str, Value]:
    """Return the properties in the words of RunInstances."""
    given = pick(properties, *PLAIN)
    if "AvailabilityZone" in properties:
        given["Placement"] = {"AvailabilityZone": properties["AvailabilityZone"]}
    if "IamInstanceProfile" in properties:
        given["IamInstanceProfile"] = {"Name": properties["IamInstanceProfile"]}
    if "Monitoring" in properties:
        given["Monitoring"] = {"Enabled": properties["Monitoring"]}
    if "UserData" in properties:
        given["UserData"] = _user_data(properties)
    if "BlockDeviceMappings" in properties:
        given["BlockDeviceMappings"] = [
            {**mapping, **({"NoDevice": ""} if "NoDevice" in mapping else {})}
            for mapping in properties["BlockDeviceMappings"]
        ]
    if "NetworkInterfaces" in properties:
        given["NetworkInterfaces"] = [_interface(nic) for nic in properties["NetworkInterfaces"]]
    kinds = ["instance"]
    if str(properties.get("PropagateTagsToVolumeOnCreation")).lower() == "true":
        kinds.append("volume")
    tags = env.tag_list(properties, own=False)
    if tags:
        given["TagSpecifications"] = [{"ResourceType": kind, "Tags": tags} for kind in kinds]
    return given


def _interface(nic: Mapping[str, Any]) -> dict[str, Value]:
    unsupported = nic.keys() - {*OF_INTERFACES, "GroupSet"}
    if unsupported:
        raise ResourceFailure(
            f"The local cloud does not support of network interfaces: {', '.join(sorted(unsupported))}"
        )
    return {**pick(nic, *OF_INTERFACES), **({"Groups": nic["GroupSet"]} if "GroupSet" in nic else {})}


def _user_data(properties: Properties) -> bytes:
    """Return the user data, which boto3 encodes again. Templates have it in Base64."""
    try:
        return base64.b64decode(str(properties.get("UserData", "")), validate=True)
    except binascii.Error as error:
        raise ResourceFailure(
            'Resource handler returned message: "Invalid BASE64 encoding of user data (Service: ec2, Error '
            'Code: InvalidParameterValue)"'
        ) from error


def _update(env: Env, instance_id: str, old: Properties, new: Properties) -> Attributes:
    changed = changed_keys(old, new)
    if changed - UPDATES:
        raise ResourceFailure(
            f"The local cloud does not change of an instance: {', '.join(sorted(changed - UPDATES))}"
        )
    protected = str(new.get("DisableApiTermination", False)).lower() == "true"
    _modify(env, instance_id, DisableApiTermination=protected if "DisableApiTermination" in changed else None)
    if "SourceDestCheck" in changed:
        _modify(env, instance_id, SourceDestCheck=new.get("SourceDestCheck", True))
    if "InstanceInitiatedShutdownBehavior" in changed:
        behavior = new.get("InstanceInitiatedShutdownBehavior", "stop")
        env.call(
            "ec2",
            "modify_instance_attribute",
            InstanceId=instance_id,
            Attribute="instanceInitiatedShutdownBehavior",
            Value=behavior,
        )
    if "SecurityGroupIds" in changed:
        groups = new.get("SecurityGroupIds")
        env.call("ec2", "modify_instance_attribute", InstanceId=instance_id, Groups=groups)
    if "MetadataOptions" in changed:
        options = new.get("MetadataOptions") or {}
        env.call("ec2", "modify_instance_metadata_options", InstanceId=instance_id, **options)
    if "IamInstanceProfile" in changed:
        _change_profile(env, instance_id, new.get("IamInstanceProfile"))
    if "UserData" in changed:
        _change_user_data(env, instance_id, new)
    tag(env, instance_id, new)
    gone = env.tags(old).keys() - env.tags(new).keys()
    if gone:
        env.call("ec2", "delete_tags", Resources=[instance_id], Tags=[{"Key": key} for key in sorted(gone)])
    return _attributes(env, instance_id)


def _modify(env: Env, instance_id: str, **attributes: Value) -> None:
    for name, value in attributes.items():
        if value is not None:
            env.call("ec2", "modify_instance_attribute", InstanceId=instance_id, **{name: {"Value": value}})


def _change_profile(env: Env, instance_id: str, profile: str | None) -> None:
    filters = [{"Name": "instance-id", "Values": [instance_id]}]
    known = env.call("ec2", "describe_iam_instance_profile_associations", Filters=filters)
    for association in known["IamInstanceProfileAssociations"]:
        association_id = association["AssociationId"]
        env.call("ec2", "disassociate_iam_instance_profile", AssociationId=association_id)
    if profile:
        env.call(
            "ec2",
            "associate_iam_instance_profile",
            InstanceId=instance_id,
            IamInstanceProfile={"Name": profile},
        )


def _change_user_data(env: Env, instance_id: str, new: Properties) -> None:
    """Stop the instance, give it other user data, start it: "Some interruptions" with an EBS root volume."""
    data = _user_data(new)
    env.call("ec2", "stop_instances", InstanceIds=[instance_id])
    _settle(env, instance_id, "stopped")
    _modify(env, instance_id, UserData=data)
    env.call("ec2", "start_instances", InstanceIds=[instance_id])
    _settle(env, instance_id, "running")


def _delete(env: Env, instance_id: str, properties: Properties) -> None:
    env.call("ec2", "terminate_instances", InstanceIds=[instance_id])
    _settle(env, instance_id, "terminated")


def _described(env: Env, instance_id: str) -> dict[str, Any]:
    found: dict[str, Any] = env.call("ec2", "describe_instances", InstanceIds=[instance_id])["Reservations"][
        0
    ]["Instances"][0]
    return found


def _settle(env: Env, instance_id: str, wanted: str) -> None:
    """Wait for an instance's state; raise ResourceFailure when it ends in another."""
    instance: dict[str, Any] = {}

    def at_rest() -> bool:
        nonlocal instance
        instance = _described(env, instance_id)
        passing = (
            instance["State"]["Name"] in ("pending", "stopping", "shutting-down") or wanted == "terminated"
        )
        return instance["State"]["Name"] == wanted or not passing

    wait_until(at_rest, limit=LIMIT, pause=POLL)
    state = instance["State"]["Name"]
    if state != wanted:
        reason = instance.get("StateReason", {}).get("Message", "")
        raise ResourceFailure(
            f"Instance {instance_id} failed to stabilize. Current state: {state}. Reason: {reason}"
        )


def _attributes(env: Env, instance_id: str) -> Attributes:
    instance = _described(env, instance_id)
    return {
        "InstanceId": instance_id,
        "AvailabilityZone": instance["Placement"]["AvailabilityZone"],
        "PrivateDnsName": instance.get("PrivateDnsName", ""),
        "PrivateIp": instance.get("PrivateIpAddress", ""),
        "PublicDnsName": instance.get("PublicDnsName", ""),
        "PublicIp": instance.get("PublicIpAddress", ""),
        "VpcId": instance.get("VpcId", ""),
    }


TYPES = {"AWS::EC2::Instance": ResourceType(_create, _update, _delete, REPLACES)}
