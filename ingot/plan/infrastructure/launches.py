"""Which instance types a template launches golden images on, and in which availability zones."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# How a template refers to a golden image's AMI (constructs/image).
_GOLDEN = "{{resolve:ssm:/ingot/"


@dataclass(frozen=True)
class PlannedLaunch:
    """A group, or a launch template that stands alone: ``path`` is the construct's, below its stack.

    ``zones``: names, and numbers for the zones of the region in their order, as ``Fn::GetAZs`` gives them;
    none where the template leaves them to somebody else, such as a VPC that it was given.
    """

    path: str
    types: tuple[str, ...]
    zones: tuple[str | int, ...] = ()
    maps_volumes: bool = True
    """Whether the template maps volumes. One that maps none may be of an image on an instance store."""


def launches_of(template: Mapping[str, Any]) -> list[PlannedLaunch]:
    """Return what a template launches from golden images, as far as it says so in plain words."""
    resources = template.get("Resources", {})
    golden = {
        name: resource["Properties"]["LaunchTemplateData"]
        for name, resource in resources.items()
        if resource.get("Type") == "AWS::EC2::LaunchTemplate"
        and _GOLDEN in json.dumps(resource.get("Properties", {}).get("LaunchTemplateData", {}).get("ImageId"))
    }
    found, in_groups = list[PlannedLaunch](), set[str]()
    for name, resource in resources.items():
        if resource.get("Type") != "AWS::AutoScaling::AutoScalingGroup":
            continue
        properties = resource.get("Properties", {})
        launch_template = _launch_template(properties)
        if launch_template in golden:
            in_groups.add(launch_template)
            types = [golden[launch_template].get("InstanceType"), *_overrides(properties)]
            found.append(
                PlannedLaunch(
                    _path(resource, name),
                    _plain(types),
                    tuple(_zones(properties, resources)),
                    "BlockDeviceMappings" in golden[launch_template],
                )
            )
    found += [
        PlannedLaunch(
            _path(resources[name], name),
            _plain([data.get("InstanceType")]),
            maps_volumes="BlockDeviceMappings" in data,
        )
        for name, data in golden.items()
        if name not in in_groups
    ]
    return [launch for launch in found if launch.types]


def _launch_template(group: Mapping[str, Any]) -> str:
    mixed = group.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {})
    specification = group.get("LaunchTemplate") or mixed.get("LaunchTemplateSpecification") or {}
    reference = specification.get("LaunchTemplateId")
    return str(reference.get("Ref")) if isinstance(reference, Mapping) else ""


def _overrides(group: Mapping[str, Any]) -> list[Any]:
    mixed = group.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {})
    return [override.get("InstanceType") for override in mixed.get("Overrides", ())]


def _plain(types: list[Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in types if isinstance(name, str)))


def _zones(group: Mapping[str, Any], resources: Mapping[str, Any]) -> Iterator[str | int]:
    for subnet in group.get("VPCZoneIdentifier", ()):
        reference = subnet.get("Ref") if isinstance(subnet, Mapping) else None
        zone = resources.get(str(reference), {}).get("Properties", {}).get("AvailabilityZone")
        match zone:
            case str():
                yield zone
            case {"Fn::Select": [int(number) | str(number), {"Fn::GetAZs": _}]} if re.fullmatch(
                "[0-9]+", str(number)
            ):
                yield int(number)


def _path(resource: Mapping[str, Any], name: str) -> str:
    path: str = resource.get("Metadata", {}).get("aws:cdk:path", name)
    return path.removesuffix("/Resource").removesuffix("/ASG")
