"""The manifest of a disk that came without one, rebuilt from the disk itself."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ingot.aws.publish.blocks import disk_size
from ingot.bake.disk import Ext4Reader, read_ext4
from ingot.bake.tree.inventory import READ, escape
from ingot.bake.tree.links import resolve_links
from ingot.bake.tree.manifest import contents_of, manifest_text
from ingot.bake.tree.tree import Entry, encode
from ingot.bake.tree.volatile import BASELINE, LIBRARY, STATE, read_volatile
from ingot.blocks import DiskDigest, digest_disk
from ingot.errors import InputError
from ingot.spec import BakeSpec, CloneTestSpec, HttpSpec

# The manifest's parts that no disk tells: what the gate let pass, and the kernel's command line, which is
# inside the boot image.
NOT_REBUILT = ("hygiene", "boot")
_ESCAPED = re.compile(r"\\x([0-9a-f]{2})")


def rebuild_manifest(disk: Path, what: str, architecture: str) -> dict[str, Any]:
    """Return the manifest of the image on ``disk``, without the keys of
    :data:`NOT_REBUILT`; the file is cut to the image's size.

    ``what`` names the image in messages. Raises InputError for a disk that is not an image of Ingot,
    BakeError for a damaged one.
    """
    os.truncate(disk, _true_size(disk, what))
    with read_ext4(disk) as reader:
        entries = [entry for entry in reader.entries() if entry.path != "/lost+found"]
        links = {entry.path: entry.link for entry in entries}
        missing = [path for path in (*READ, "/etc/ingot/image.json") if path not in links]
        if missing:
            raise InputError(f"{what} is not an image of Ingot: it has no {missing[0]}")
        spec = _spec(reader, architecture)
        contents = {path: reader.read(resolve_links(path, links.get)) for path in READ}
        changed = _changed(entries, reader.read(f"{BASELINE}/image"))
        file = f"{LIBRARY}/volatile"
        volatile = read_volatile(reader.read(file).decode()) if file in links else STATE
    kernels = sorted(
        path.removeprefix("/boot/vmlinuz-") for path in links if path.startswith("/boot/vmlinuz-")
    )
    image = contents_of(entries, changed, contents, volatile)
    text = manifest_text(spec, image, kernels[0] if kernels else "unknown", _digest(disk), {})
    manifest = json.loads(text)
    return {**{key: value for key, value in manifest.items() if key not in NOT_REBUILT}, "boot": {}}


def _true_size(disk: Path, what: str) -> int:
    with disk.open("rb") as file:
        size = disk_size(file.read(1024))
    if size is None:
        raise InputError(f"{what} is not an image of Ingot: its disk has no partition table")
    return size


def _spec(reader: Ext4Reader, architecture: str) -> BakeSpec:
    """Return what a manifest takes from the bake spec, as far as the image says it."""
    identity = json.loads(reader.read("/etc/ingot/image.json"))
    return BakeSpec(
        name=identity["recipe"],
        recipe_digest=identity["digest"],
        version=identity["version"],
        architecture=architecture,
        epoch=0,
        root_volume_size=0,
        tests=tuple(_test(line) for line in reader.read(f"{LIBRARY}/tests").decode().splitlines()),
    )


def _test(line: str) -> CloneTestSpec:
    """Return a test of the line that ingot.bake.image.machine writes."""
    kind, name, *pairs = (
        _ESCAPED.sub(lambda match: chr(int(match[1], 16)), word) for word in line.split("\t")
    )
    values = dict(pair.split("=", 1) for pair in pairs)
    if kind == "http":
        contains = values["contains"] or None
        return CloneTestSpec(
            name, http=HttpSpec(values["path"], int(values["status"]), contains, int(values["port"]))
        )
    if kind == "service":
        return CloneTestSpec(name, service=values["unit"])
    return CloneTestSpec(name, command=values["run"])


def _changed(entries: Sequence[Entry], baseline: bytes) -> set[str]:
    """Return the paths of which the image's own list says that the recipe changed them."""
    changed = {line.partition(b"\t")[0] for line in baseline.splitlines()}
    return {entry.path for entry in entries if escape(encode(entry.path)) in changed}


def _digest(disk: Path) -> DiskDigest:
    with disk.open("rb") as file:
        return digest_disk(file.fileno())
