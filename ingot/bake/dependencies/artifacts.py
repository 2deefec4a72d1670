"""Artifacts: files of the lock that are copied or unpacked into the image."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Mapping

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


def _put(root: Path, artifact: ArtifactSpec, owner: "tuple[int, int]", packages: Path, limit: int) -> None:
    order = {
        "target": artifact.target,
        "unpack": artifact.unpack,
        "strip": artifact.strip,
        "uid": owner[0],
        "gid": owner[1],
        "mode": int(artifact.mode or "0644", 8),
        "limit": limit,
        "forbidden": MOUNT_POINTS,
    }
    with download_file(packages, artifact.sha256).open("rb") as file:
        try:
            with spawner().call(PUT, root, {"order": order}, file.fileno()) as child:
                answer = child.result()
        except SpawnError as error:
            raise BakeError(f"the artifact {artifact.url} cannot be put into the image: {error}") from error
    if answer.get("damage"):
        verb = "unpacked" if artifact.unpack else "put into the image"
        raise BakeError(
            f"the artifact {artifact.url} cannot be {verb}: {answer['damage']}",
            hint=MAKE_ROOM if answer["full"] else None,
        )
