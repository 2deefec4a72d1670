"""Whether EC2 can run an image on an instance type where it is to run: asked before anything is deployed.

A type that boots by legacy BIOS alone, that is of another architecture, or that a zone does not offer, shows
otherwise when the first clone does not start: in the middle of a roll-out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ingot.errors import InputError

if TYPE_CHECKING:
    from ingot.aws.session.clients import Clients

_OTHER_TYPE = "choose one of: aws ec2 describe-instance-types --filters Name=supported-boot-mode,Values=uefi"


@dataclass(frozen=True)
class Use:
    """Where instance types are used: ``where`` for messages; any of ``types`` may be launched in ``zones``.

    ``zones``: names, and numbers of the region's zones in their order.
    """

    where: str
    types: tuple[str, ...]
    zones: tuple[str | int, ...] = ()
    maps_volumes: bool = True
    """Whether volumes are mapped. Without, the image's root may be on an instance store."""


def require_types(clients: Clients, uses: Sequence[Use]) -> None:
    """Raise InputError for types on which an image of Ingot does not boot, and for zones without any of them.

    Costs three calls for all uses. Raises ClientError where AWS denies one of them.
    """
    names = sorted({name for use in uses for name in use.types})
    if not names:
        return
    known = _described(clients, names)
    offered = _offers(clients, names)
    zones = _region_zones(clients) if any(use.zones for use in uses) else []
    problems = []
    for use in uses:
        problems += _type_problems(use, known, clients.region)
        architectures = {known[name]["architectures"] for name in use.types if name in known}
        if len(architectures) > 1:
            problems.append(f"{use.where}: {', '.join(use.types)} are of several architectures")
        problems += _zone_problems(use, zones, offered)
    if problems:
        raise InputError("\n".join(problems), hint=_OTHER_TYPE)


def _described(clients: Clients, names: list[str]) -> dict[str, dict[str, Any]]:
    """Return what EC2 says of the types; those that the region does not have are left out."""
    # By a filter, for InstanceTypes fails as a whole for one name that is unknown.
    pages = clients.ec2.get_paginator("describe_instance_types").paginate(
        Filters=[{"Name": "instance-type", "Values": names}]
    )
    return {
        str(info["InstanceType"]): {
            "architectures": tuple(info["ProcessorInfo"].get("SupportedArchitectures", ())),
            "modes": info.get("SupportedBootModes", []),
            "roots": info.get("SupportedRootDeviceTypes", ["ebs"]),
            "nvme": info.get("EbsInfo", {}).get("NvmeSupport", "unsupported") != "unsupported",
        }
        for page in pages
        for info in page["InstanceTypes"]
    }


def _offers(clients: Clients, names: list[str]) -> dict[str, set[str]]:
    """Return which zones offer each type."""
    pages = clients.ec2.get_paginator("describe_instance_type_offerings").paginate(
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": names}]
    )
    offered: dict[str, set[str]] = {}
    for page in pages:
        for offer in page["InstanceTypeOfferings"]:
            offered.setdefault(str(offer["InstanceType"]), set()).add(offer["Location"])
    return offered


def _region_zones(clients: Clients) -> list[str]:
    """Return the region's own zones in their order, without Local Zones and Wavelength Zones."""
    zones = clients.ec2.describe_availability_zones()["AvailabilityZones"]
    return sorted(
        zone["ZoneName"] for zone in zones if zone.get("ZoneType", "availability-zone") == "availability-zone"
    )


def _type_problems(use: Use, known: dict[str, dict[str, Any]], region: str) -> list[str]:
    """Return what the types lack. Where the root may be on either, it is enough that all are fit for one."""

    def problems(lacks: Callable[[dict[str, Any] | None, str], str]) -> list[str]:
        found = {name: lacks(known.get(name), region) for name in use.types}
        return [f"{use.where}: the instance type {name} {what}" for name, what in found.items() if what]

    if not use.maps_volumes and not problems(_lacks_store):
        return []
    return problems(_lacks)


def _lacks(info: dict[str, Any] | None, region: str) -> str:
    if info is None:
        return f"does not exist in {region}"
    if "uefi" not in info["modes"]:
        return f"boots by {' and '.join(info['modes']) or 'legacy-bios'} only; images boot by UEFI"
    return "" if info["nvme"] else "has no NVMe volumes, which images boot from"


def _lacks_store(info: dict[str, Any] | None, region: str) -> str:
    if info is None:
        return f"does not exist in {region}"
    return (
        ""
        if "instance-store" in info["roots"]
        else "does not start an AMI with its root on an instance store"
    )


def _zone_problems(use: Use, zones: list[str], offered: dict[str, set[str]]) -> list[str]:
    problems = []
    for zone in use.zones:
        if isinstance(zone, int) and zone >= len(zones):
            problems.append(f"{use.where}: it spreads over {zone + 1} zones; the region has {len(zones)}")
            continue
        name = zones[zone] if isinstance(zone, int) else zone
        if name not in zones:
            problems.append(
                f"{use.where}: {name} is no availability zone of the region; images boot by UEFI, which "
                "Local Zones, Wavelength Zones and Outposts do not support"
            )
        elif not any(name in offered.get(kind, ()) for kind in use.types):
            where = sorted({place for kind in use.types for place in offered.get(kind, ())})
            problems.append(
                f"{use.where}: the zone {name} does not offer {' or '.join(use.types)}; "
                f"offered in: {', '.join(where) or 'no zone of the region'}"
            )
    return problems
