"""What mounts a clone's data volumes and turns swap on: in images whose recipe declares them.

The program finds, formats, mounts and grows disks when the clone boots (``rootfs/storage.pl``). A volume is a
unit of its own, so that one that does not come holds up the services that need it alone.
"""

from __future__ import annotations

from typing import Iterable, List, Optional, Sequence, Set, Union

from ingot.bake.image.machine import SOURCES, write
from ingot.bake.runtime.chroot import Chroot, in_root
from ingot.bake.tree.inventory import escape_text
from ingot.bake.tree.volatile import LIBRARY
from ingot.errors import BakeError
from ingot.spec import BakeSpec, ScratchSpec, StorageSpec, VolumeSpec

UNITS = "/usr/lib/systemd/system"
VOLUME_UNITS = (
    "ingot-volume@.service",
    "ingot-volume@.timer",
    "ingot-volume-grow.service",
    "ingot-volume-grow.timer",
)
SCRATCH, SWAP = "ingot-scratch.service", "ingot-swap.service"
# What makes, checks and grows a file system, and the package that has it, in Debian and elsewhere.
TOOLS = {
    "ext4": (("mkfs.ext4", "e2fsck", "resize2fs"), "e2fsprogs"),
    "xfs": (("mkfs.xfs", "xfs_growfs"), "xfsprogs"),
}
PLACES = ("/usr/sbin", "/usr/bin", "/sbin", "/bin")


def set_storage(chroot: Chroot, spec: BakeSpec) -> None:
    """Install and enable what mounts the recipe's volumes and turns its swap on, if it declares any.

    Raises BakeError for an image without the tools of a file system.
    """
    wanted, root = spec.storage, chroot.root
    if wanted is None:
        return
    _check_tools(chroot, wanted)
    write(root, f"{LIBRARY}/storage", (SOURCES / "storage.pl").read_text(encoding="utf-8"), 0o755)
    write(root, f"{LIBRARY}/storage.list", _declaration(wanted))
    enabled: List[str] = []
    if wanted.volumes:
        _install(chroot, VOLUME_UNITS)
        enabled.append("ingot-volume-grow.timer")
    for volume in wanted.volumes:
        unit = f"ingot-volume@{volume.name}.service"
        _wait_for(chroot, unit, volume)
        enabled += [unit, f"ingot-volume@{volume.name}.timer"]
    if wanted.scratch is not None:
        _install(chroot, [SCRATCH])
        _wait_for(chroot, SCRATCH, wanted.scratch)
        enabled.append(SCRATCH)
    if wanted.swap is not None or wanted.instance_swap:
        _install(chroot, [SWAP])
        enabled.append(SWAP)
    for mount in wanted.mounts:
        in_root(root, mount).mkdir(parents=True, exist_ok=True)
    chroot.run(["systemctl", "enable", *enabled], what="enabling what mounts the volumes")


def _install(chroot: Chroot, units: Iterable[str]) -> None:
    for name in units:
        write(chroot.root, f"{UNITS}/{name}", (SOURCES / name).read_text(encoding="utf-8"))


def _wait_for(chroot: Chroot, unit: str, disk: Union[VolumeSpec, ScratchSpec]) -> None:
    """Let the services of a disk start when it is mounted, and only then."""
    services = [name if name.endswith(".service") else f"{name}.service" for name in disk.services]
    for service in services:
        name = unit[: -len(".service")].replace("@", "-")
        write(
            chroot.root,
            f"{UNITS}/{service}.d/{name}.conf",
            f"[Unit]\nRequires={unit}\nAfter={unit}\nRequiresMountsFor={disk.mount}\n",
        )
    if services:
        write(chroot.root, f"{UNITS}/{unit}.d/services.conf", f"[Unit]\nWants={' '.join(services)}\n")


def _check_tools(chroot: Chroot, wanted: StorageSpec) -> None:
    scratch = () if wanted.scratch is None else (wanted.scratch,)
    used: Set[str] = {disk.filesystem for disk in (*wanted.volumes, *scratch)}
    for filesystem in sorted(used):
        tools, package = TOOLS[filesystem]
        for tool in tools:
            if not any(in_root(chroot.root, f"{place}/{tool}", follow=True).is_file() for place in PLACES):
                raise BakeError(
                    f"volumes: the image has no {tool}, which a volume with {filesystem} needs",
                    hint=f"add {package} to the recipe's packages",
                )


def _declaration(wanted: StorageSpec) -> str:
    """Return what the recipe declares as the program reads it: a kind and its values, tabs between them."""
    lines: List[Sequence[Optional[str]]] = [
        ["volume", v.name, v.device, v.mount, v.filesystem, v.owner, v.group, v.mode] for v in wanted.volumes
    ]
    if wanted.scratch is not None:
        s = wanted.scratch
        lines.append(["scratch", "scratch", None, s.mount, s.filesystem, s.owner, s.group, s.mode])
    if wanted.instance_swap:
        lines.append(["instance-swap"])
    if wanted.swap is not None:
        lines.append(["swap", str(wanted.swap)])
    return "".join("\t".join(escape_text(word or "") for word in line) + "\n" for line in lines)
