"""Artifacts: files of the lock that are copied or unpacked into the image."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Mapping, Optional

from ingot.bake.dependencies.unpack import Order
from ingot.bake.image.accounts import ids
from ingot.bake.image.seal import MOUNT_POINTS
from ingot.bake.packages.cache import download_file
from ingot.bake.runtime.sandbox import SpawnError, spawner
from ingot.errors import MAKE_ROOM, BakeError
from ingot.spec import ArtifactSpec, BakeSpec

PUT = "ingot.bake.dependencies.unpack:put"


def put_artifacts(root: Path, spec: BakeSpec, packages: Path) -> None:
    """Put the artifacts of ``spec`` into ``root``, from the directory ``packages``, in the recipe's order.

    Packages to install are not among them. Raises BakeError that names the artifact.
    """
    users, groups = numbers(root, spec)
    for artifact in spec.artifacts:
        if artifact.target is None:
            continue
        for kind, name, table in (("user", artifact.owner, users), ("group", artifact.group, groups)):
            if name not in table:
                raise BakeError(f"{artifact.target}: there is no {kind} {name} in the image")
        _put(root, artifact, (users[artifact.owner], groups[artifact.group]), packages, spec.root_volume_size)


def numbers(root: Path, spec: BakeSpec) -> "tuple[Mapping[str, int], Mapping[str, int]]":
    """Return users and groups by name: those in the tree, and those that the recipe will add."""
    users: Dict[str, int] = {**ids(root, "passwd"), **{user.name: user.uid for user in spec.users}}
    groups: Dict[str, int] = {**ids(root, "group"), **{group.name: group.gid for group in spec.groups}}
    return users, groups


def put_file(root: Path, file: Path, target: str, limit: int) -> None:
    """Unpack a tar that a program of the bake is in, without the directory at its top. Raises BakeError."""
    order = Order(target, "tar", 1, 0, 0, 0o644, limit, ())
    damage, full = _call(root, file, order)
    if damage is not None:
        raise BakeError(f"{file} cannot be unpacked: {damage}", hint=MAKE_ROOM if full else None)


def _put(root: Path, artifact: ArtifactSpec, owner: "tuple[int, int]", packages: Path, limit: int) -> None:
    mode = int(artifact.mode or "0644", 8)
    target = artifact.target or ""
    order = Order(target, artifact.unpack, artifact.strip, *owner, mode, limit, MOUNT_POINTS)
    damage, full = _call(root, download_file(packages, artifact.sha256), order)
    if damage is not None:
        verb = "unpacked" if artifact.unpack else "put into the image"
        raise BakeError(
            f"the artifact {artifact.url} cannot be {verb}: {damage}", hint=MAKE_ROOM if full else None
        )


def _call(root: Path, file: Path, order: Order) -> "tuple[Optional[str], bool]":
    """Put a file into ``root``; return what is wrong, None for nothing, and whether there is no room."""
    with file.open("rb") as source:
        try:
            with spawner().call(PUT, root, {"order": order._asdict()}, source.fileno()) as child:
                answer = child.result()
        except SpawnError as error:
            return str(error), False
    return answer.get("damage"), bool(answer.get("full"))
