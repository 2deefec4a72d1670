"""The recipe's files, directories and links, put into the root with their owners and modes."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any, Dict, Mapping, Sequence

from ingot.bake.accounts import ids
from ingot.bake.chroot import in_root
from ingot.errors import BakeError


def place_files(root: Path, files: Sequence[Mapping[str, Any]], sources: Path) -> None:
    """Put the plan's ``files`` into ``root``; contents come from ``sources``, the recipe's directory.

    Files of packages are replaced. Parents that are missing belong to root, mode 0755. Raises BakeError.
    """
    users, groups = ids(root, "passwd"), ids(root, "group")
    # A directory comes before what is in it.
    for file in sorted(files, key=lambda file: str(file["target"])):
        place = in_root(root, file["target"])
        _make_parents(root, place)
        _place(place, file, sources)
        uid, gid = _number(users, file, "owner"), _number(groups, file, "group")
        os.chown(place, uid, gid, follow_symlinks=False)
        if file["kind"] != "symlink":
            place.chmod(int(str(file["mode"]), 8))  # after chown, which clears setuid and setgid


def _make_parents(root: Path, place: Path) -> None:
    """Make missing parents of ``place``."""
    missing = []
    parent = place.parent
    while parent != root and not parent.exists():
        missing.append(parent)
        parent = parent.parent
    for directory in reversed(missing):
        directory.mkdir(mode=0o755)
        directory.chmod(0o755)


def _number(table: Dict[str, int], file: Mapping[str, Any], key: str) -> int:
    name = str(file.get(key) or "root")
    if name in table:
        return table[name]
    if name.isdecimal():
        return int(name)
    kind = "user" if key == "owner" else "group"
    raise BakeError(f"{file['target']}: there is no {kind} {name} in the image")


def _place(place: Path, file: Mapping[str, Any], sources: Path) -> None:
    is_directory = place.is_dir() and not place.is_symlink()
    if file["kind"] == "directory":
        if not is_directory:
            place.unlink(missing_ok=True)
            place.mkdir()
        return
    if is_directory:
        raise BakeError(f"{file['target']}: the image has a directory there")
    # A new inode: the old one may be a hard link that other names share, or a file of the layer below.
    place.unlink(missing_ok=True)
    if file["kind"] == "symlink":
        place.symlink_to(file["link"])
        return
    if "content" in file:
        place.write_bytes(str(file["content"]).encode("utf-8"))
        return
    source = sources / str(file["source"])
    try:
        shutil.copyfile(source, place)
    except FileNotFoundError:
        raise BakeError(f"{file['target']}: its source {source} is missing") from None
    expected = file.get("sha256")
    if expected and hashlib.sha256(place.read_bytes()).hexdigest() != expected:
        raise BakeError(f"{source} has changed since the recipe was read", hint="run the bake again")
