"""The recipe's files, directories and links, put into the root with their owners and modes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Dict, Optional, Sequence

from ingot.bake.image.accounts import ids
from ingot.bake.image.seal import MOUNT_POINTS
from ingot.bake.runtime.chroot import in_root, inside
from ingot.errors import BakeError
from ingot.spec import FileSpec

PIECE = 1 << 20  # bytes that are in memory at once


def place_files(root: Path, files: Sequence[FileSpec], sources: Path) -> None:
    """Put ``files`` into ``root``; contents come from ``sources``, the recipe's directory.

    Files of packages are replaced; a link to a directory stays where the recipe has a directory. Parents that
    are missing belong to root, mode 0755. Raises BakeError, also for two targets that are one place by the
    links of the image.
    """
    users, groups = ids(root, "passwd"), ids(root, "group")
    taken: Dict[Path, FileSpec] = {}
    # A directory comes before what is in it, a file before its further names.
    for file in sorted(files, key=lambda file: (file.kind == "hardlink", file.target)):
        place = _located(root, file)
        _check_clash(file, taken.setdefault(place, file))
        _make_parents(root, place)
        if file.kind == "hardlink":
            _link(root, place, file)
            continue
        _place(place, file, sources)
        uid = _number(users, file, "user", file.owner)
        gid = _number(groups, file, "group", file.group)
        os.chown(place, uid, gid, follow_symlinks=False)
        if file.kind != "symlink":
            place.chmod(int(file.mode or "", 8))  # after chown, which clears setuid and setgid
            _set_xattrs(place, file)  # after chown, which clears capabilities


def _located(root: Path, file: FileSpec) -> Path:
    """Return where a file goes: for a directory that is a link to another one, such as /bin, to that one."""
    place = in_root(root, file.target)
    if file.kind == "directory" and place.is_symlink():
        followed = in_root(root, file.target, follow=True)
        place = followed if followed.is_dir() else place
    path = inside(root, place)
    if path.split("/")[1] in MOUNT_POINTS:
        raise BakeError(
            f"{file.target}: a link of the image leads to {path}, which is recreated at every boot",
            hint="choose another target; a file of tmpfiles.d(5) can create it at boot",
        )
    return place


def _check_clash(file: FileSpec, first: FileSpec) -> None:
    """Raise BakeError when ``first`` is another file at the same place; two directories
    that are alike are one.
    """
    is_alike = file.kind == "directory" and first._replace(target=file.target) == file
    if first is not file and not is_alike:
        raise BakeError(
            f"{file.target} is the same place in the image as {first.target}",
            hint="the recipe has both: leave one out",
        )


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


def _link(root: Path, place: Path, file: FileSpec) -> None:
    """Make ``place`` another name of a file of the image."""
    other = in_root(root, file.link or "")
    if other.is_symlink() or not other.is_file():
        raise BakeError(
            f"{file.target}: a hard link to {file.link}, which is not a file of the image",
            hint="name a file of the recipe or of a package; steps run later",
        )
    if place.is_dir() and not place.is_symlink():
        raise BakeError(f"{file.target}: the image has a directory there")
    place.unlink(missing_ok=True)
    os.link(other, place)


def _set_xattrs(place: Path, file: FileSpec) -> None:
    """Set the extended attributes of ``file``, names and values in hex."""
    for name, value in file.xattrs:
        try:
            os.setxattr(place, name, bytes.fromhex(value))
        except OSError as error:
            raise BakeError(
                f"{file.target}: the attribute {name} cannot be set here: {error.strerror}",
                hint=(
                    "the store's file system must hold extended attributes: ext4 and xfs do, tmpfs from Linux"
                    " 6.6 on"
                ),
            ) from error


def _number(table: Dict[str, int], file: FileSpec, kind: str, name: Optional[str]) -> int:
    name = name or "root"
    if name in table:
        return table[name]
    if name.isdecimal():
        return int(name)
    raise BakeError(f"{file.target}: there is no {kind} {name} in the image")


def _place(place: Path, file: FileSpec, sources: Path) -> None:
    is_directory = place.is_dir() and not place.is_symlink()
    if file.kind == "directory":
        if not is_directory:
            place.unlink(missing_ok=True)
            place.mkdir()
        return
    if is_directory:
        raise BakeError(f"{file.target}: the image has a directory there")
    # A new inode: the old one may be a hard link that other names share, or a file of the layer below.
    place.unlink(missing_ok=True)
    if file.kind == "symlink":
        place.symlink_to(file.link or "")
        return
    if file.content is not None:
        place.write_bytes(file.content.encode("utf-8"))
        return
    source = sources / (file.source or "")
    try:
        digest = _copy(source, place)
    except FileNotFoundError:
        raise BakeError(f"{file.target}: its source {source} is missing") from None
    if file.sha256 not in (None, digest):
        raise BakeError(f"{source} has changed since the recipe was read", hint="run the bake again")


def _copy(source: Path, place: Path) -> str:
    """Copy a file, runs of zeros as holes; return the SHA-256 of its content."""
    digest = hashlib.sha256()
    size = 0
    with source.open("rb") as old, place.open("xb") as new:
        while piece := old.read(PIECE):
            digest.update(piece)
            size += len(piece)
            if piece.count(0) == len(piece):
                new.seek(size)
            else:
                new.write(piece)
        new.truncate(size)
    return digest.hexdigest()
