"""Small images with a real disk: written by the bake's own writer, their manifests read
back from the disk.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingot.bake.tree.tree import Entry, Kind
from ingot.diff.sides.rebuild import rebuild_manifest
from ingot.quantities import MIB
from tests.bake.disk.helpers import EPOCH, data_file, make_disk, tree


@dataclass(frozen=True)
class DiskImage:
    disk: Path
    manifest: dict[str, Any]


def text(path: str, content: str = "", **fields: Any) -> Entry:
    return data_file(path, content.encode(), **fields)


def link(path: str, target: str) -> Entry:
    return Entry(path, Kind.SYMLINK, 0o777, mtime=EPOCH, size=len(target), link=target)


def status(*packages: tuple[str, str]) -> str:
    """dpkg's status file with packages: (name, version)."""
    return "\n".join(
        f"Package: {name}\nStatus: install ok installed\nVersion: {version}\nArchitecture:"
        " amd64\nInstalled-Size: 10\n"
        for name, version in packages
    )


def make_image(directory: Path, *entries: Entry, name: str, changed: str = "", digest: str = "") -> DiskImage:
    """Write an image with ``entries``, which win over those that every image has;
    ``changed`` lists what the recipe changed.
    """
    identity = {
        "recipe": "web",
        "digest": digest or (name[:1] * 64),
        "version": (digest or name[:1] * 64)[:12],
    }
    usual = [
        text("/etc/os-release", 'ID=debian\nPRETTY_NAME="Debian 12"\n'),
        text("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\napp:x:990:990::/srv:/usr/sbin/nologin\n"),
        text("/etc/shadow", "root:*:1::::::\napp:!:1::::::\n", mode=0o640),
        text("/etc/group", "root:x:0:\napp:x:990:\n"),
        text("/etc/ingot/image.json", json.dumps(identity)),
        text("/usr/lib/ingot/tests", "http\tthe app answers\tpath=/\tstatus=200\tcontains=ok\tport=80\n"),
        text("/usr/lib/ingot/baseline/image", changed),
        text("/var/lib/dpkg/status", status(("base", "1"))),
        text("/boot/vmlinuz-6.1", ""),
        link("/bin", "usr/bin"),
    ]
    given = {entry.path for entry in entries}
    disk, _ = make_disk(
        directory, tree(*(e for e in usual if e.path not in given), *entries), size=64 * MIB, name=name
    )
    return DiskImage(disk, rebuild_manifest(disk, name, "x86_64"))
