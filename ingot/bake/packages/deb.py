"""Reading Debian packages: control information, and contents by ``dpkg-deb`` and ``tar``."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import re
import tarfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import IO, Any, BinaryIO, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, cast

from ingot.bake.packages.unpack import ArchiveError, TarStream
from ingot.bake.runtime.sandbox import SpawnError, spawner
from ingot.deb822 import Fields, parse_paragraph
from ingot.errors import MAKE_ROOM, BakeError
from ingot.process import read_from, require
from ingot.quantities import size

UNPACK = "ingot.bake.packages.unpack:unpack"
# Bytes of a package's contents, where nothing else is said, and of its control part, which in Debian has a
# few MB at most.
MOST_UNPACKED = 64 << 30
MOST_CONTROL = 64 << 20
_MEMBER = re.compile(r"[A-Za-z0-9_+-]+")


@dataclass(frozen=True)
class LockedDeb:
    """A package of the lock: its names and the file that holds it; ``limit``: bytes that
    its contents may have unpacked.
    """

    name: str
    version: str
    architecture: str
    file: Path
    essential: bool = False
    limit: int = MOST_UNPACKED

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass
class Control:
    """The control part of a package: ``text`` is the control file, ``members`` the other
    files with their modes.
    """

    text: str
    fields: Fields
    members: Dict[str, Tuple[int, bytes]] = field(default_factory=dict)

    def lines(self, member: str) -> List[str]:
        """Return the lines of a member without blanks around them; none when the package lacks it."""
        return [
            line.strip()
            for line in self.members.get(member, (0, b""))[1].decode().splitlines()
            if line.strip()
        ]

    @property
    def conffiles(self) -> List[Tuple[str, str]]:
        """Return (path, flag) of the configuration files, in the package's order.

        A flag, "remove-on-upgrade", says that the package has the file no more: deb-conffiles(5).
        """
        found = []
        for line in self.lines("conffiles"):
            flag, _, path = ("", "", line) if line.startswith("/") else line.partition(" ")
            if path:
                found.append((path, flag))
        return found


def read_control(package: LockedDeb) -> Control:
    """Return the control part of ``package``. Raises BakeError when the file is no sound package."""
    try:
        archive = _control_archive(package.file)
        if archive is None:
            archive = _by_dpkg(package)
        members = _files_in(archive)
        text = members.pop("control")[1].decode()
    except KeyError as error:
        raise BakeError(f"package {package} cannot be read: it has no file {error}") from error
    except (OSError, EOFError, ValueError, lzma.LZMAError, tarfile.TarError, zlib.error) as error:
        raise BakeError(f"package {package} cannot be read: {error}") from error
    fields = parse_paragraph(text)
    _require_identity(package, fields)
    return Control(text.strip() + "\n", fields, members)


def _require_identity(package: LockedDeb, fields: Fields) -> None:
    """Raise BakeError unless the control file is of the package that the lock names.

    The lock's name becomes part of paths in dpkg's database, and is what dependencies are resolved by.
    """
    for key in ("package", "version", "architecture"):
        locked = package.name if key == "package" else getattr(package, key)
        if fields.get(key) != locked:
            raise BakeError(
                f"package {package} is not what the lock says: its control file has the {key} "
                f"{fields.get(key, '')!r}, the lock {locked!r}"
            )


def _files_in(archive: bytes) -> Dict[str, Tuple[int, bytes]]:
    """Return the modes and contents of the files in a tar, by name.

    Raises ValueError for what is not a plain file at its top.

    As with dpkg, a name with a dot and the file "list", which dpkg writes itself, are left out.
    """
    members: Dict[str, Tuple[int, bytes]] = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        for member in files:
            name = member.name[2:] if member.name.startswith("./") else member.name
            if name in (".", "") and member.isdir():
                continue
            content = files.extractfile(member) if member.isfile() and not member.issparse() else None
            if content is None or "/" in name:
                raise ValueError(f"{name!r} in its control part is not a plain file")
            if _MEMBER.fullmatch(name) and name != "list":
                members[name] = (member.mode, content.read())
    return members


def _control_archive(file: Path) -> Optional[bytes]:
    """Return the tar of a package's control part, None where Python has no decompressor for it.

    Raises ValueError for another kind of file.

    Starting dpkg-deb for each package takes several times as long as reading them. The format: deb(5), ar(5).
    """
    with file.open("rb") as package:
        if package.read(8) != b"!<arch>\n":
            raise ValueError("it is not an ar(1) archive")
        while header := package.read(60):
            name, size = header[:16].decode("ascii", "replace").rstrip(" /"), int(header[48:58])
            if size < 0:
                raise ValueError("it is damaged")
            if name in _UNPACK:
                return _UNPACK[name](package.read(size))
            if name.startswith("control.tar"):
                return None
            package.seek(size + size % 2, os.SEEK_CUR)
    raise ValueError("it has no control part")


def _read_at_most(file: BinaryIO) -> bytes:
    data = file.read(MOST_CONTROL + 1)
    if len(data) > MOST_CONTROL:
        raise ValueError(f"its control part is larger than {size(MOST_CONTROL)}")
    return data


def _from_xz(data: bytes) -> bytes:
    with lzma.LZMAFile(io.BytesIO(data)) as file:
        return _read_at_most(cast(BinaryIO, file))


_UNPACK: Mapping[str, Callable[[bytes], bytes]] = {
    "control.tar": bytes,
    "control.tar.gz": lambda data: _read_at_most(cast(BinaryIO, gzip.GzipFile(fileobj=io.BytesIO(data)))),
    "control.tar.xz": _from_xz,
}


def _by_dpkg(package: LockedDeb) -> bytes:
    dpkg_deb = require("dpkg-deb", needed_for="read packages")
    with read_from([dpkg_deb, "--ctrl-tarfile", package.file]) as process:
        data = _read_at_most(cast(BinaryIO, process.stdout))
        if process.wait() != 0:
            raise BakeError(f"package {package} cannot be read: its control part is damaged")
    return data


def contents(package: LockedDeb) -> List[str]:
    """Return the paths that ``package`` holds, directories with a slash at the end. Raises BakeError."""
    with _unpacked(package) as process:
        try:
            members = list(TarStream(cast(BinaryIO, process.stdout), package.limit).members())
        except ArchiveError as error:
            raise BakeError(f"package {package} cannot be unpacked: {error}") from error
        if process.wait() != 0:
            raise BakeError(f"package {package} cannot be unpacked: its contents are damaged")
    return [f"/{os.fsdecode(member.name)}{'/' * (member.kind == 'directory')}" for member in members]


def extract(
    package: LockedDeb, root: Path, only: Sequence[str] = (), tar: Optional[IO[bytes]] = None
) -> List[str]:
    """Extract the contents of ``package`` (or ``only`` these paths) below ``root``:
    "/usr", "/usr/bin", … in the archive's order.

    ``tar``: its contents, if they are decompressed already. Returns the paths. Links are followed inside the
    root; directories that are links (merged /usr) stay links. Owners are taken by number: packages may only
    own files to the static ids of base-passwd (Debian Policy 9.2), which are the same everywhere. Raises
    BakeError.
    """
    if tar is not None:
        answer = _put(package, root, only, tar)
        damage = answer.get("damage")
    else:
        with _unpacked(package) as process:
            answer = _put(package, root, only, cast(BinaryIO, process.stdout))
            # Last: what cannot be unpacked to its end breaks the pipe.
            damage = answer.get("damage") or ("its contents are damaged" if process.wait() != 0 else None)
    if damage is not None:
        hint = MAKE_ROOM if answer.get("full") else None
        raise BakeError(f"package {package} cannot be unpacked: {damage}", hint=hint)
    paths: List[str] = answer["paths"]
    return paths


def _put(package: LockedDeb, root: Path, only: Sequence[str], tar: IO[bytes]) -> Dict[str, Any]:
    argument = {"only": list(only), "limit": package.limit}
    try:
        with spawner().call(UNPACK, root, argument, tar.fileno()) as child:
            return child.result()
    except SpawnError as error:
        raise BakeError(f"package {package} cannot be unpacked: {error}") from error


def _unpacked(package: LockedDeb) -> "Popen[bytes]":
    """Return the process that writes the tar in ``package``."""
    return read_from(["dpkg-deb", "--fsys-tarfile", package.file])
