"""Reading Debian packages: control information, and contents by ``dpkg-deb`` and ``tar``."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import tarfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from ingot.deb822 import Fields, parse_paragraph
from ingot.errors import MAKE_ROOM, BakeError
from ingot.process import read_from, require, run_binary


@dataclass(frozen=True)
class Package:
    """A package of the lock: its names and the file that holds it."""

    name: str
    version: str
    architecture: str
    file: Path
    essential: bool = False

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass
class Control:
    """The control part of a package: ``text`` is the control file, ``members`` the other files with their modes."""

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
    def conffiles(self) -> List[str]:
        """Return the absolute paths of the configuration files."""
        # "remove-on-upgrade /path" names a file that is not there any more: deb-conffiles(5).
        return [line for line in self.lines("conffiles") if line.startswith("/")]


def read_control(package: Package) -> Control:
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


def _require_identity(package: Package, fields: Fields) -> None:
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
    """Return the modes and contents of the files in a tar, by name."""
    members: Dict[str, Tuple[int, bytes]] = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        for member in files:
            content = files.extractfile(member) if member.isfile() else None
            if content is not None:
                name = member.name[2:] if member.name.startswith("./") else member.name
                members[name] = (member.mode, content.read())
    return members


def _control_archive(file: Path) -> Optional[bytes]:
    """Return the tar of a package's control part, None where Python has no decompressor for it. Raises ValueError for another kind of file.

    Starting dpkg-deb for each package takes several times as long as reading them. The format: deb(5), ar(5).
    """
    with file.open("rb") as package:
        if package.read(8) != b"!<arch>\n":
            raise ValueError("it is no archive of ar(1)")
        while header := package.read(60):
            name, size = header[:16].decode("ascii", "replace").rstrip(" /"), int(header[48:58])
            if name in _UNPACK:
                return _UNPACK[name](package.read(size))
            if name.startswith("control.tar"):
                return None
            package.seek(size + size % 2, os.SEEK_CUR)
    raise ValueError("it has no control part")


_UNPACK: Mapping[str, Callable[[bytes], bytes]] = {
    "control.tar": bytes,
    "control.tar.gz": gzip.decompress,
    "control.tar.xz": lzma.decompress,
}


def _by_dpkg(package: Package) -> bytes:
    dpkg_deb = require("dpkg-deb", needed_for="read packages")
    ended = run_binary([dpkg_deb, "--ctrl-tarfile", package.file], check=False)
    if ended.returncode != 0:
        raise BakeError(f"package {package} cannot be read: {ended.stderr.decode(errors='replace').strip()}")
    return ended.stdout


def contents(package: Package) -> List[str]:
    """Return the paths that ``package`` holds, directories with a slash at the end. Raises BakeError."""
    ended = run_binary(["dpkg-deb", "--fsys-tarfile", package.file], check=False)
    if ended.returncode != 0:
        raise BakeError(f"package {package} cannot be unpacked: its contents are damaged")
    with tarfile.open(fileobj=io.BytesIO(ended.stdout), errors="surrogateescape") as archive:
        return [
            f"/{member.name[2:] if member.name.startswith('./') else member.name}{'/' * member.isdir()}"
            for member in archive
        ]


def extract(package: Package, root: Path, only: Sequence[str] = ()) -> List[str]:
    """Extract the contents of ``package`` (or ``only`` these paths) below ``root`` and return their paths: "/usr", "/usr/bin", … in the archive's order.

    Directories that are symbolic links (merged /usr) are followed. Owners are taken by number: packages may only own files to
    the static ids of base-passwd (Debian Policy 9.2), which are the same everywhere. Raises BakeError.
    """
    # fmt: off
    tar = [
        "tar", "--extract", f"--directory={root}", "--preserve-permissions", "--numeric-owner", "--same-owner",
        "--keep-directory-symlink", "--delay-directory-restore", "--warning=no-timestamp", "--verbose",
        "--quoting-style=literal", "--", *(f".{path}" for path in only),
    ]
    # fmt: on
    with read_from(["dpkg-deb", "--fsys-tarfile", package.file]) as unpacker:
        ended = run_binary(tar, input=unpacker.stdout, check=False)
    if unpacker.returncode != 0 or ended.returncode != 0:
        reason = ended.stderr.decode(errors="replace").strip() or "its contents are damaged"
        raise _not_unpacked(package, reason.splitlines())
    names = ended.stdout.decode(errors="surrogateescape").splitlines()
    return [name[1:].rstrip("/") or "/." for name in names]


def _not_unpacked(package: Package, lines: List[str]) -> BakeError:
    """Return the error for what tar said: it names each file that it cannot write, and what it misses later because of that."""
    full = [line for line in lines if "No space left" in line or "Disk quota" in line]
    rest = f"\n    and {len(lines) - 1} more lines of this kind" if len(lines) > 1 else ""
    first = (full or lines)[0]
    return BakeError(f"package {package} cannot be unpacked: {first}{rest}", hint=MAKE_ROOM if full else None)
