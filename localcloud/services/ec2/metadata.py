"""What an instance's metadata says, from moto's records.

Source: EC2 User Guide, "Instance metadata categories".
"""

from __future__ import annotations

import base64
import json
from typing import Any

from moto.core.utils import utcnow
from moto.sts.models import sts_backends

from ingot.machines.metadata import Metadata, Options
from ingot.machines.qemu import GATEWAY
from localcloud.core.moto_types import Instance, NetworkInterface, SecurityGroup

TIME = "%Y-%m-%dT%H:%M:%SZ"
SESSION_SECONDS = 21600  # the temporary credentials of an instance profile live for about six hours


def metadata_of(instance: Instance, port: int) -> Metadata:
    """Return an instance's metadata, read from moto's records at each request; the cloud is on ``port``."""
    return Metadata(options=lambda: options_of(instance), tree=lambda: tree_of(instance, port))


def options_of(instance: Instance) -> Options:
    """Return the instance's metadata options as they are now."""
    options = instance.metadata_options
    return Options(
        enabled=options.http_endpoint != "disabled", tokens_required=options.http_tokens == "required"
    )


def tree_of(instance: Instance, port: int) -> dict[str, Any]:
    """Return everything below ``/latest/``."""
    return {
        "meta-data": meta_data(instance, port),
        "dynamic": {"instance-identity": {"document": identity(instance)}},
        "user-data": user_data(instance),
    }


def user_data(instance: Instance) -> bytes | None:
    """Return the user data as the guest gets it: decoded; None when there is none."""
    given = instance.user_data
    if not given:
        return None
    try:
        return base64.b64decode(str(given), validate=True)
    except ValueError:
        return str(given).encode()


def meta_data(instance: Instance, port: int) -> dict[str, Any]:
    """Return the categories below ``meta-data/``."""
    nic = instance.nics[0]
    zone = instance.placement.zone
    tree: dict[str, Any] = {
        "ami-id": instance.image_id,
        "ami-launch-index": str(instance.ami_launch_index),
        "ami-manifest-path": "(unknown)",
        "block-device-mapping": _devices(instance),
        "events": {"maintenance": {"history": "[]", "scheduled": "[]"}},
        "hostname": instance.private_dns_name,
        "instance-action": "none",
        "instance-id": instance.id,
        "instance-life-cycle": "spot" if instance.lifecycle == "spot" else "on-demand",
        "instance-type": instance.instance_type,
        "local-hostname": instance.private_dns_name,
        "local-ipv4": instance.private_ip,
        "mac": nic.mac_address,
        "network": {"interfaces": {"macs": {nic.mac_address: _interface(instance, nic)}}},
        "placement": {
            "availability-zone": zone,
            "availability-zone-id": _zone_id(instance, zone),
            "region": instance.region_name,
        },
        "profile": "default-hvm",
        "reservation-id": _reservation(instance),
        "security-groups": "\n".join(group.name for group in _groups(instance)),
        "services": {"domain": "amazonaws.com", "endpoint": endpoint(port), "partition": "aws"},
        "system": "nitro",
        "iam": _iam(instance),
    }
    if instance.metadata_options.instance_metadata_tags == "enabled":
        tree["tags"] = {"instance": {tag["key"]: tag["value"] for tag in instance.get_tags()}}
    return tree


def endpoint(port: int) -> str:
    """Return where a guest reaches this cloud's APIs: its network's gateway is this machine's loopback.

    Source: qemu(1), "-netdev user".

    EC2 has no such entry: there, a service's address follows from ``services/domain``.
    """
    return f"http://{GATEWAY}:{port}"


def _devices(instance: Instance) -> dict[str, str]:
    """Return the device names: ``ebs1`` and so on for volumes beside the root."""
    root = instance.root_device_name
    others = sorted(name for name in instance.block_device_mapping if name != root)
    numbered = {f"ebs{number}": name.removeprefix("/dev/") for number, name in enumerate(others, 1)}
    return {"ami": root, "root": root, **numbered}


def _groups(instance: Instance) -> list[SecurityGroup]:
    return list(instance.nics[0].group_set) or list(instance.security_groups)


def _interface(instance: Instance, nic: NetworkInterface) -> dict[str, Any]:
    vpc = instance.ec2_backend.get_vpc(instance.vpc_id)
    return {
        "device-number": "0",
        "interface-id": nic.id,
        "local-hostname": instance.private_dns_name,
        "local-ipv4s": instance.private_ip,
        "mac": nic.mac_address,
        "owner-id": instance.owner_id,
        "security-group-ids": "\n".join(group.id for group in _groups(instance)),
        "security-groups": "\n".join(group.name for group in _groups(instance)),
        "subnet-id": instance.subnet_id,
        "subnet-ipv4-cidr-block": instance.ec2_backend.get_subnet(instance.subnet_id).cidr_block,
        "vpc-id": instance.vpc_id,
        "vpc-ipv4-cidr-block": vpc.cidr_block if vpc else None,
    }


def _zone_id(instance: Instance, zone: str) -> str | None:
    zones = instance.ec2_backend.describe_availability_zones()
    return next((str(known.zone_id) for known in zones if known.name == zone), None)


def _reservation(instance: Instance) -> str | None:
    for reservation in instance.ec2_backend.reservations.values():
        if instance in reservation.instances:
            return str(reservation.id)
    return None


def identity(instance: Instance) -> str:
    """Return the instance identity document."""
    document = {
        "accountId": instance.owner_id,
        "architecture": instance.architecture,
        "availabilityZone": instance.placement.zone,
        "billingProducts": None,
        "devpayProductCodes": None,
        "imageId": instance.image_id,
        "instanceId": instance.id,
        "instanceType": instance.instance_type,
        "kernelId": None,
        "marketplaceProductCodes": None,
        "pendingTime": instance.launch_time.strftime(TIME),
        "privateIp": instance.private_ip,
        "ramdiskId": None,
        "region": instance.region_name,
        "version": "2017-09-30",
    }
    return json.dumps(document, indent=2)


def _iam(instance: Instance) -> dict[str, Any] | None:
    """Return ``iam/`` of an instance with an instance profile.

    Its id and temporary credentials of its role.
    """
    association = instance.ec2_backend.iam_instance_profile_associations.get(instance.id)
    if association is None:
        return None
    profile = association.iam_instance_profile
    info = {
        "Code": "Success",
        "LastUpdated": utcnow().strftime(TIME),
        "InstanceProfileArn": profile.arn,
        "InstanceProfileId": profile.id,
    }
    roles = {role.name: (lambda arn=role.arn: _credentials(instance, arn)) for role in profile.roles}
    return {"info": json.dumps(info, indent=2), "security-credentials": roles or None}


def _credentials(instance: Instance, role_arn: str) -> str:
    backend = sts_backends[instance.owner_id]["aws"]
    assumed = backend.assume_role(
        region_name=instance.region_name, role_session_name=instance.id, role_arn=role_arn, policy="",
        duration=SESSION_SECONDS, external_id="",
    )  # fmt: skip
    document = {
        "Code": "Success",
        "LastUpdated": utcnow().strftime(TIME),
        "Type": "AWS-HMAC",
        "AccessKeyId": assumed.access_key_id,
        "SecretAccessKey": assumed.secret_access_key,
        "Token": assumed.session_token,
        "Expiration": assumed.expiration.strftime(TIME),
    }
    return json.dumps(document, indent=2)
