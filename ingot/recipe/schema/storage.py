"""``volumes``, ``instance_store`` and ``swap``: what clones have beside their root volume."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema, model_validator

from ingot.quantities import GIB, SIZE_PATTERN
from ingot.recipe.schema.parts import Part
from ingot.recipe.schema.values import Name, OctalMode, Text, UnitName, size_in_bytes, state_in_root
from ingot.recipe.syntax.explain import wrong

# "Device names for volumes", EC2 user guide: recommended for EBS volumes on Linux.
DEVICES = tuple(f"/dev/sd{letter}" for letter in "fghijklmnop")
# What a clone's own programs need before a volume could be mounted over it, or write to all the time.
_KEPT = ("/var", "/var/lib", "/var/lib/dpkg", "/var/lib/ingot", "/var/lib/systemd", "/var/log", "/root")


def mount_point(value: str) -> str:
    """Return the path of a mount point; raise for a directory that a clone cannot do without."""
    path = state_in_root(value)
    if path in _KEPT or path.startswith(("/boot/", "/usr/lib/")):
        raise wrong(
            f"{value!r}, which the system itself uses", "a directory of a service's own, such as /srv/data"
        )
    return path


def volume_size(value: object) -> int:
    """Return the size of a volume in bytes; raise when it is not one."""
    size = size_in_bytes(value)
    if size % GIB:
        raise wrong(f"size {value!r}", "whole GiB, as EBS counts")
    return size


MountPoint = Annotated[
    str, AfterValidator(mount_point), WithJsonSchema({"type": "string", "pattern": "^/.+"})
]
# The label of an XFS file system has 12 characters at most.
VolumeName = Annotated[
    str, Text(r"[a-z][a-z0-9-]{0,11}", "at most 12 lower case letters, digits and -", "data")
]
DeviceName = Annotated[str, Text(r"/dev/sd[f-p]", "a device name from /dev/sdf to /dev/sdp", "/dev/sdf")]
VolumeSize = Annotated[
    int,
    BeforeValidator(volume_size),
    WithJsonSchema({"type": "string", "pattern": SIZE_PATTERN, "examples": ["20GiB"]}),
]
FileSystem = Literal["ext4", "xfs"]


class Volume(Part):
    """A data volume of each clone: an EBS volume, formatted when it is blank, and mounted."""

    name: VolumeName
    """Its name: what the constructs call it."""
    mount: MountPoint
    """Where it is mounted."""
    size: VolumeSize
    """Of test clones and `ingot boot`, and a fleet's unless it says more."""
    filesystem: FileSystem = "ext4"
    """The file system that a blank volume gets."""
    owner: Name | None = None
    """Owner of the root of a new file system. Default: of the directory `mount` in the image."""
    group: Name | None = None
    """Its group. Default: of the directory `mount` in the image."""
    mode: OctalMode | None = None
    """Its mode: four octal digits in quotes. Default: of the directory `mount` in the image."""
    services: tuple[UnitName, ...] = ()
    """Services that start when it is mounted, and only then."""
    device: DeviceName | None = None
    """Its device name. Default: the first that no volume of the recipe has, from /dev/sdf on."""


class InstanceStore(Part):
    """What disks of the instance store are for, on types that have them; a stop loses their content."""

    swap: Literal[True] | None = None
    """True: swap on all of them."""
    mount: MountPoint | None = None
    """Where the first of them is mounted."""
    filesystem: FileSystem = "ext4"
    """Its file system."""
    owner: Name | None = None
    """Owner of its root directory."""
    group: Name | None = None
    """Group of its root directory."""
    mode: OctalMode | None = None
    """Mode of its root directory: four octal digits in quotes."""
    services: tuple[UnitName, ...] = ()
    """Services that start when it is mounted, or when it is known that there is none."""

    @model_validator(mode="after")
    def _check_use(self) -> InstanceStore:
        if (self.swap is None) == (self.mount is None):
            raise wrong(
                "none of them" if self.swap is None else "mount and swap", "exactly one of mount, swap"
            )
        if self.swap and self.model_fields_set - {"swap"}:
            raise wrong("swap with other keys", "swap alone")
        return self


def devices_of(volumes: Sequence[Volume]) -> list[str]:
    """Return the device name of each volume."""
    free = iter([name for name in DEVICES if name not in {volume.device for volume in volumes}])
    return [volume.device or next(free) for volume in volumes]
