"""The manifest of an image that was made on a live root."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ingot.bake.disk import DiskDigest
from ingot.bake.instance.system_packages import installed_rpms
from ingot.bake.tree import inventory
from ingot.bake.tree.manifest import contents_of, manifest_text
from ingot.bake.tree.tree import Entry
from ingot.blocks import BLOCK_SIZE, written
from ingot.spec import BakeSpec

# What cloud-init and the base's own tools change on each clone, besides what every clone may change.
# fmt: off
VOLATILE = (
    *inventory.VOLATILE,
    "/boot", "/etc/cloud", "/etc/fstab", "/etc/hosts", "/etc/machine-info", "/etc/netplan", "/etc/network", "/etc/ssh", "/etc/sudoers.d",
    "/etc/sysconfig", "/home", "/root/.ssh", "/var/lib/cloud", "/var/lib/chrony", "/var/lib/amazon", "/var/lib/dnf", "/var/lib/misc", "/var/lib/NetworkManager",
)
# fmt: on


def is_volatile(path: str) -> bool:
    """Tell whether a clone of a base AMI may change ``path``."""
    return any(path == top or path.startswith(f"{top}/") for top in VOLATILE)


def lasting(entries: Sequence[Entry]) -> List[Entry]:
    """Return the entries that no clone changes."""
    return [entry for entry in entries if not is_volatile(entry.path)]


def live_manifest(
    spec: BakeSpec,
    root: Path,
    entries: Sequence[Entry],
    before: Sequence[Entry],
    kernel: str,
    disk: "Tuple[int, List[Optional[str]], str]",
    hygiene: Mapping[str, Any],
) -> Dict[str, Any]:
    """Return the manifest. Its key ``base`` says that the image cannot be made again bit for bit, and from which AMIs it was made."""
    size, blocks, root_digest = disk
    was = {entry.path: inventory.file_line(entry) for entry in before}
    changed = {entry.path for entry in entries if was.get(entry.path) != inventory.file_line(entry)}
    contents = {path: _read(root, path) for path in inventory.READ}
    image = contents_of(entries, changed, contents)._replace(
        files_text=inventory.files_text(lasting(entries))
    )
    digest = DiskDigest(size, len(written(blocks)) * BLOCK_SIZE, tuple(blocks), root_digest)
    manifest: Dict[str, Any] = json.loads(manifest_text(spec, image, kernel, digest, hygiene))
    rpms = [
        {
            "name": name,
            "version": version,
            "architecture": architecture,
            "installed_kib": int(kib),
            "source": name,
        }
        for name, version, architecture, kib in (
            installed_rpms(root) if not contents[inventory.STATUS] else []
        )
    ]
    return {
        **manifest,
        "packages": manifest["packages"] or rpms,
        "base": {region: dict(vars(ami)) for region, ami in (spec.base or {}).items()},
    }


def _read(root: Path, path: str) -> bytes:
    """Return a file of the tree; nothing for dpkg's database where rpm keeps the books."""
    file = root / path[1:]
    return file.read_bytes() if file.exists() or path != inventory.STATUS else b""
