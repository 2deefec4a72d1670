"""RunInstances for machines of the builder's stack, test clones and builders, and their state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from ingot.aws.session import tags
from ingot.aws.session.failures import code_of, is_missing
from ingot.errors import PublishError
from ingot.quantities import GIB

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import BlockDeviceMappingTypeDef, EbsBlockDeviceTypeDef

    from ingot.aws.session.clients import Clients

# Another zone may have room: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshooting-launch.html
NO_ROOM_HERE = frozenset({"InsufficientInstanceCapacity", "Unsupported"})

TEMPLATE_ROOT = "/dev/xvda"  # ingot/constructs/machines.py: the root device in the launch templates


def root_mappings(device: str, ebs: EbsBlockDeviceTypeDef) -> tuple[BlockDeviceMappingTypeDef, ...]:
    """Return the mappings that make ``ebs`` the root volume of an AMI whose root device is ``device``.

    The template's own root volume is left out where the AMI's has another name: it would be a second volume,
    and EC2 refuses one that has neither a size nor a snapshot.
    """
    root: BlockDeviceMappingTypeDef = {"DeviceName": device, "Ebs": ebs}
    return (root,) if device == TEMPLATE_ROOT else (root, {"DeviceName": TEMPLATE_ROOT, "NoDevice": ""})


def data_mappings(manifest: Mapping[str, Any]) -> tuple[BlockDeviceMappingTypeDef, ...]:
    """Return the mappings of the blank volumes that an image's recipe declares, which go with their clone."""
    return tuple(
        {
            "DeviceName": str(volume["device"]),
            "Ebs": {
                "VolumeSize": -(-int(volume["size"]) // GIB),
                "VolumeType": "gp3",
                "Encrypted": True,
                "DeleteOnTermination": True,
            },
        }
        for volume in manifest.get("volumes", ())
    )


@dataclass(frozen=True)
class LaunchRequest:
    """One instance to launch, in the first of the subnets that has room.

    ``tag_values`` are on the instance and its volumes from the moment they exist. ``token`` (55 characters at
    most): the same one never launches two instances in a subnet, so a lost answer costs nothing.
    ``instance_type``: in place of the template's, for an AMI with its root on an instance store.
    """

    template_id: str
    ami_id: str
    subnet_ids: Sequence[str]
    user_data: str
    tag_values: Mapping[str, str]
    token: str
    mappings: Sequence[BlockDeviceMappingTypeDef] = ()
    instance_type: str | None = None

    @property
    def machine(self) -> Mapping[str, Any]:
        """What of the machine the template does not say. Only a root on a volume outlives a shutdown, so that
        EC2 takes no word about it for another.
        """
        if self.instance_type is None:
            return {"InstanceInitiatedShutdownBehavior": "terminate"}
        return {"InstanceType": self.instance_type}


def launch(clients: Clients, request: LaunchRequest) -> str:
    """Launch the instance and return its id.

    Raises PublishError when no subnet has room, botocore's errors for all else.
    """
    refusals: list[str] = []
    last: ClientError | None = None
    for number, subnet in enumerate(request.subnet_ids):
        try:
            answer = clients.ec2.run_instances(
                LaunchTemplate={"LaunchTemplateId": request.template_id, "Version": "$Latest"},
                ImageId=request.ami_id,
                SubnetId=subnet,
                MinCount=1,
                MaxCount=1,
                UserData=request.user_data,
                ClientToken=f"{request.token}-{number}",
                TagSpecifications=[
                    {"ResourceType": "instance", "Tags": tags.tag_list(request.tag_values)},
                    {"ResourceType": "volume", "Tags": tags.tag_list(request.tag_values)},
                ],
                BlockDeviceMappings=list(request.mappings),
                **request.machine,
            )
        except ClientError as error:
            if code_of(error) not in NO_ROOM_HERE:
                raise
            refusals.append(f"\n  {subnet}: {code_of(error)}: {error.response['Error'].get('Message', '')}")
            last = error
            continue
        return answer["Instances"][0]["InstanceId"]
    raise _no_room(refusals) from last


def instance_state(clients: Clients, instance_id: str) -> tuple[str, str]:
    """Return the name of an instance's state, and the reason for it where EC2 gives one, else ""."""
    try:
        answer = clients.ec2.describe_instances(InstanceIds=[instance_id])
    except ClientError as error:
        if is_missing(error):  # EC2 is eventually consistent: a new instance may be unknown for seconds
            return "pending", ""
        raise
    instance = answer["Reservations"][0]["Instances"][0]
    return instance["State"]["Name"], instance.get("StateReason", {}).get("Message", "")


def _no_room(refusals: Sequence[str]) -> PublishError:
    if not refusals:
        return PublishError("the builder's stack names no subnet", hint="deploy that stack again")
    return PublishError(
        f"EC2 has no room for the instance in any subnet of the builder's stack:{''.join(refusals)}",
        hint="try again later, or deploy the builder's stack with another type: "
        "-c builder_instance_type=m7i.large (-c test_instance_type=… for the test clone)",
    )
