"""What an EC2 instance type's name says: its architecture, and whether an image of Ingot boots on it.

Source: "Amazon EC2 instance type naming conventions" (EC2 instance types guide): after the generation's
digits, g stands for an AWS Graviton processor; "Instances built on the AWS Nitro System" for what boots by
UEFI from an NVMe disk.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from ingot.errors import InputError

Architecture = Literal["x86_64", "arm64"]
DEFAULT: Mapping[Architecture, str] = {"x86_64": "t3.small", "arm64": "t4g.small"}
BUILDER_DEFAULT: Mapping[Architecture, str] = {"x86_64": "c7i.large", "arm64": "c7g.large"}
# Arm processors whose names do not follow the rule.
_ARM_FAMILIES = frozenset({"a1", "p6e-gb200", "p6e-gb300"})
# Families of the Xen hypervisor: no NVMe root disk, no UEFI. The list is closed: no new ones have been made
# since 2017.
_XEN_FAMILIES = frozenset(
    [
        "t1",
        "t2",
        "m1",
        "m2",
        "m3",
        "m4",
        "c1",
        "c3",
        "c4",
        "cc2",
        "cr1",
        "r3",
        "r4",
        "x1",
        "x1e",
        "i2",
        "i3",
        "d2",
        "h1",
        "hs1",
        "f1",
        "g2",
        "g3",
        "g3s",
        "p2",
        "p3",
    ]
)
# What starts an AMI with its root on an instance store: EC2 user guide, "Root volume type".
INSTANCE_STORE_FAMILIES = ("c1", "c3", "d2", "i2", "m1", "m2", "m3", "r3", "x1")
_INSTANCE_STORE_DEFAULT = "m3.medium"
# Nitro families whose x86 firmware is legacy BIOS only: DescribeInstanceTypes' SupportedBootModes, and
# "Requirements to launch an EC2 instance in UEFI boot mode" in the EC2 user guide. So are bare-metal types of
# x86, and u-*tb1.
_BIOS_FAMILIES = frozenset({"dl1", "g4ad", "p4d", "p4de", "trn1", "trn1n", "vt1"})


def boots_image(instance_type: str) -> bool:
    """Return whether an image of Ingot boots on the type: by UEFI, from an NVMe disk."""
    family, _, size = instance_type.partition(".")
    if family.startswith("mac") or family in _XEN_FAMILIES:
        return False
    if architecture_of(instance_type) == "arm64":
        return True
    return not (family in _BIOS_FAMILIES or re.fullmatch(r"u-[0-9]+tb1", family) or size.startswith("metal"))


def types_with_store_root(where: str, first: str | None, more: tuple[str, ...] = ()) -> list[str]:
    """Return the instance types of an image whose root is on an instance store: ``first``, by default
    m3.medium, and ``more``.

    Raises InputError that names ``where`` for a type that does not start from one.
    """
    types = [first or _INSTANCE_STORE_DEFAULT, *more]
    for name in types:
        if name.partition(".")[0] not in INSTANCE_STORE_FAMILIES:
            raise InputError(
                f"{where}: {name} does not start an AMI with its root on an instance store; only "
                f"{', '.join(family.upper() for family in INSTANCE_STORE_FAMILIES)} do",
                hint="take root_volume: {device: ebs} in the recipe for a current instance type",
            )
    return types


def architecture_of(instance_type: str) -> Architecture:
    """Return the architecture of an instance type such as ``m7g.large``."""
    family = instance_type.partition(".")[0]
    attributes = re.match(r"[a-z]+[0-9]+([a-z]*)", family)
    graviton = attributes is not None and "g" in attributes[1]
    return "arm64" if graviton or family in _ARM_FAMILIES else "x86_64"


def chosen_types(
    where: str,
    first: str | None,
    architecture: Architecture,
    more: tuple[str, ...] = (),
    *,
    default: Mapping[Architecture, str] = DEFAULT,
) -> list[str]:
    """Return the instance types: ``first``, by default the architecture's, and ``more``.

    Raises InputError that names ``where`` for a type of another architecture, and for one that cannot boot
    the image.
    """
    types = [first or default[architecture], *more]
    for name in types:
        if (found := architecture_of(name)) != architecture:
            raise InputError(
                f"{where}: {name} is an {found} machine, and the recipe is for {architecture}",
                hint=f"use one such as {default[architecture]}, or set architecture: {found} in the recipe",
            )
        if not boots_image(name):
            raise InputError(
                f"{where}: {name} does not boot by UEFI from an NVMe disk",
                hint=f"most current families do, such as {default[architecture]}; bare metal of x86 does not",
            )
    return types
