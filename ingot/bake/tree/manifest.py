"""The manifest: what is in a disk image, with the digests that a clone and a snapshot are held against."""

from __future__ import annotations

import json
from typing import AbstractSet, Any, Dict, List, Mapping, NamedTuple, Sequence

from ingot.bake.tree import inventory
from ingot.bake.tree.tree import Entry, Kind
from ingot.bake.tree.volatile import Volatile
from ingot.blocks import BLOCK_SIZE, DiskDigest
from ingot.spec import MANIFEST_FORMAT, BakeSpec, PackageSpec

FORMAT = MANIFEST_FORMAT
UNITS = "/etc/systemd/system/"
# The state of a package of which dpkg only remembers something: dpkg(1), "Package states".
_GONE = (" config-files", " not-installed")


def manifest_text(
    spec: BakeSpec, image: "Contents", kernel: str, disk: DiskDigest, hygiene: Mapping[str, Any]
) -> str:
    """Return the manifest of an image as JSON with sorted keys; sizes are bytes."""
    contents = image.contents
    fields = {
        "format": FORMAT,
        "name": spec.name,
        "recipe_digest": spec.recipe_digest,
        "version": spec.version,
        "architecture": spec.architecture,
        "epoch": spec.epoch,
        "os": _os(contents["/etc/os-release"].decode(), kernel),
        "packages": _packages(contents[inventory.STATUS], spec.packages) or list(image.rpms),
        # Which files of the store it was made of.
        "package_files": sorted(
            {
                file.sha256
                for one in spec.with_stages()
                for files in (one.packages, one.downloads())
                for file in files
            }
        ),
        **_dependencies(spec),
        **_volumes(spec),
        **_stages(spec),
        **_base(spec),
        "users": _users(contents["/etc/passwd"].decode()),
        "groups": _groups(contents["/etc/group"].decode()),
        "services": _services(image.links),
        "inventory": inventory.sections(image.files_text, image.links, contents, kernel),
        "tests": [test.plain() for test in spec.tests],
        # What the gate found, and what of it the recipe allows.
        "hygiene": dict(hygiene),
        "boot": {
            "mode": "legacy-bios" if spec.bios else "uefi",
            "kernel_command_line": spec.kernel_command_line,
        },
        **({"root_device": "instance-store"} if spec.bios else {}),
        "size": {"disk": disk.size, "used": disk.used},
        "disk": {
            "size": disk.size,
            "block_size": BLOCK_SIZE,
            "root_digest": disk.root_digest,
            "blocks": list(disk.blocks),
        },
    }
    # The lines of the files are made with the layer; they are most of the text.
    before = json.dumps({key: value for key, value in fields.items() if key < "files"}, sort_keys=True)
    after = json.dumps({key: value for key, value in fields.items() if key > "files"}, sort_keys=True)
    return f'{before[:-1]}, "files": [{", ".join(image.file_lines)}], {after[1:]}\n'


class Contents(NamedTuple):
    """What the manifest tells of a tree.

    ``contents`` holds the files of :data:`ingot.bake.tree.inventory.READ`; ``file_lines`` are the files in
    JSON (:func:`file_line`), ``files_text`` is the inventory's text of them, ``links`` are the symbolic links
    below systemd's own directory. ``rpms`` are the packages where rpm keeps the books, not dpkg.
    """

    contents: Mapping[str, bytes]
    file_lines: Sequence[str]
    files_text: bytes
    links: Sequence[Entry]
    rpms: Sequence[Dict[str, Any]] = ()


def contents_of(
    entries: Sequence[Entry], changed: AbstractSet[str], contents: Mapping[str, bytes], volatile: Volatile
) -> Contents:
    """Return the contents of a tree from all its sorted ``entries``; the recipe changed
    the paths ``changed``.
    """
    lines = [file_line(entry, layer=int(entry.path in changed)) for entry in entries]
    links = [entry for entry in entries if entry.kind is Kind.SYMLINK and entry.path.startswith(UNITS)]
    return Contents(contents, lines, inventory.files_text(entries, volatile), links)


def _stages(spec: BakeSpec) -> Dict[str, List[Dict[str, str]]]:
    """Return the stages in which something of the image was built; nothing when there is none."""
    found = [{"name": stage.name, "digest": stage.recipe_digest} for stage in spec.stages]
    return {"stages": found} if found else {}


def _base(spec: BakeSpec) -> Dict[str, Dict[str, Dict[str, Any]]]:
    """Return the AMIs of which the image was made, by region; nothing of one that was baked from scratch.

    They say that the image cannot be made again bit for bit.
    """
    if spec.base is None:
        return {}
    return {"base": {region: ami._asdict() for region, ami in spec.base.items()}}


def _dependencies(spec: BakeSpec) -> Dict[str, List[Dict[str, Any]]]:
    """Return what the image has beside packages; nothing when there is nothing."""
    found: List[Dict[str, Any]] = [
        {
            "name": artifact.url,
            "kind": "artifact",
            "sha256": artifact.sha256,
            "size": artifact.size,
            "target": artifact.target,
        }
        for artifact in spec.artifacts
    ]
    for wheel in spec.python.wheels if spec.python is not None else ():
        found.append(
            {
                "name": f"pkg:pypi/{wheel.name}",
                "kind": "python",
                "version": wheel.version,
                "sha256": wheel.sha256,
                "size": wheel.size,
                "target": spec.python.target if spec.python is not None else "",
            }
        )
    for package in sorted(spec.node.packages) if spec.node is not None else ():
        found.append(
            {
                "name": f"pkg:npm/{package.name.replace('@', '%40')}",
                "kind": "node",
                "version": package.version,
                "sha256": package.sha256,
                "size": package.size,
                "target": spec.node.target if spec.node is not None else "",
            }
        )
    return {"dependencies": found} if found else {}


def _volumes(spec: BakeSpec) -> Dict[str, List[Dict[str, Any]]]:
    """Return the data volumes that a clone is launched with; nothing when there are none."""
    volumes = () if spec.storage is None else spec.storage.volumes
    found = [{"name": v.name, "device": v.device, "mount": v.mount, "size": v.size} for v in volumes]
    return {"volumes": found} if found else {}


def _os(text: str, kernel: str) -> Dict[str, str]:
    """Return what os-release(5) says."""
    values = dict(
        line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#")
    )
    names = {
        "id": "ID",
        "version_id": "VERSION_ID",
        "codename": "VERSION_CODENAME",
        "pretty_name": "PRETTY_NAME",
    }
    return {**{key: values.get(name, "").strip("\"'") for key, name in names.items()}, "kernel": kernel}


def _packages(status: bytes, locked: Sequence[PackageSpec]) -> List[Dict[str, Any]]:
    """Return the installed packages; ``sha256`` names the file of the store that a
    package came from, ``source`` its source package.
    """
    files = {(p.name, p.version, p.architecture): p.sha256 for p in locked}
    found: List[Dict[str, Any]] = []
    for paragraph in inventory.installed(status):
        if paragraph.get("status", "").endswith(_GONE):
            continue
        name, version, architecture = (paragraph[key] for key in ("package", "version", "architecture"))
        fields: Dict[str, Any] = {
            "name": name,
            "version": version,
            "architecture": architecture,
            "installed_kib": int(paragraph.get("installed-size", 0)),
            "source": paragraph.get("source", name).split(" ")[0],
        }
        if paragraph.get("maintainer"):
            fields["maintainer"] = paragraph["maintainer"]
        if (name, version, architecture) in files:
            fields["sha256"] = files[name, version, architecture]
        found.append(fields)
    return sorted(found, key=lambda package: str(package["name"]))


def _users(text: str) -> List[Dict[str, Any]]:
    rows = [line.split(":") for line in text.splitlines() if line]
    return [{"name": r[0], "uid": int(r[2]), "gid": int(r[3]), "home": r[5], "shell": r[6]} for r in rows]


def _groups(text: str) -> List[Dict[str, Any]]:
    rows = [line.split(":") for line in text.splitlines() if line]
    return [{"name": r[0], "gid": int(r[2]), "members": [m for m in r[3].split(",") if m]} for r in rows]


def _services(entries: Sequence[Entry]) -> Dict[str, List[str]]:
    """Return the names of units that some target wants or requires, and of those that are masked."""
    enabled = set()
    masked = set()
    for entry in entries:
        if entry.kind is not Kind.SYMLINK or not entry.path.startswith(UNITS):
            continue
        directory, _, name = entry.path[len(UNITS) :].rpartition("/")
        if entry.link == "/dev/null":
            masked.add(name)
        elif directory.endswith((".wants", ".requires")):
            enabled.add(name)
    return {"enabled": sorted(enabled), "masked": sorted(masked)}


def file_line(entry: Entry, layer: int = 0) -> str:
    """Return a file in JSON; bytes of a name that are no UTF-8 stay surrogate escapes,
    which JSON writes in ASCII.

    ``layer`` 1 stands for what the recipe changed on its packages, 2 for what artifacts and dependencies
    brought; extended attributes are in hex.
    """
    fields: Dict[str, Any] = {
        "path": entry.path,
        "type": entry.kind.value,
        "mode": f"{entry.mode:04o}",
        "uid": entry.uid,
        "gid": entry.gid,
        "size": entry.size if entry.kind is Kind.FILE else 0,
    }
    if entry.kind is Kind.FILE:
        fields["sha256"] = entry.sha256
    elif entry.kind is Kind.SYMLINK:
        fields["link"] = entry.link
    if layer:
        fields["layer"] = layer
    if entry.xattrs:
        fields["xattrs"] = {name: value.hex() for name, value in entry.xattrs}
    return json.dumps(fields, sort_keys=True)
