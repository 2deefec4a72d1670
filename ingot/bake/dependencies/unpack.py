"""Putting an artifact into an image: copied, or unpacked from a tar or a zip, by a process whose root is the
image's (:meth:`ingot.bake.runtime.sandbox.Spawner.call`).

No archive is trusted. Names that climb or are absolute, links that lead out of the archive, names below such
a link, and device files are errors, as is more than the limits allow. Owners, times and the bits beyond
``rwxr-xr-x`` do not come from the archive.
"""

from __future__ import annotations

import bz2
import codecs
import errno
import gzip
import lzma
import os
import resource
import stat
import tarfile
import zipfile
import zlib
from contextlib import suppress
from functools import partial
from typing import IO, Any, Callable, Dict, Iterator, NamedTuple, Optional, Sequence, Set

from ingot import quantities

_PIECE = 1 << 20
# As for a package of the distribution (ingot.bake.packages.unpack).
MOST_MEMBERS = 1_000_000
# Bytes of memory: what a decompressor needs at its highest level is a tenth of it (xz(1), DecMem: 65 MiB),
# and a million names of a zip take less. An archive that asks for more is made to hurt.
MOST_MEMORY = 2 << 30
_MODES = 0o755
_KINDS = {
    tarfile.CHRTYPE: "a device file",
    tarfile.BLKTYPE: "a device file",
    tarfile.FIFOTYPE: "a FIFO",
}
_CUT = "its contents are damaged"


class ArtifactError(Exception):
    """The artifact is damaged, or holds what it must not. The message says what."""


class _ArtifactMember(NamedTuple):
    """One member. ``kind``: ``file``, ``directory``, ``symlink``, ``link``. ``open`` gives its content."""

    name: str
    kind: str
    executable: bool
    target: str = ""
    open: Optional[Callable[[], IO[bytes]]] = None


class Order(NamedTuple):
    """Where an artifact goes: ``unpack``, ``strip`` and ``target`` as in a bake spec.

    ``mode`` is that of a file that is not unpacked; ``limit``: how many bytes it may have; ``forbidden``:
    directories at the top in which nothing lasts.
    """

    target: str
    unpack: Optional[str]
    strip: int
    uid: int
    gid: int
    mode: int
    limit: int
    forbidden: Sequence[str]


def put(descriptor: int, *, order: Dict[str, Any]) -> Dict[str, Any]:
    """Put the file ``descriptor`` where ``order`` says, the fields of an :class:`Order`, or unpack it there.

    Returns {} or {"damage": why, "full": whether there is no room}.
    """
    wanted = Order(**order)
    os.umask(0)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    try:
        with open(descriptor, "rb") as file:
            place = _ArtifactWriter(wanted)
            if wanted.unpack is None:
                place.parents_of_target()
                place.write(wanted.target, file, wanted.mode)
            else:
                place.unpack(file, wanted.unpack, wanted.strip)
    except ArtifactError as error:
        return {"damage": str(error), "full": False}
    except MemoryError:
        return {
            "damage": f"unpacking it takes more than {quantities.size(MOST_MEMORY)} of memory",
            "full": False,
        }
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError) as error:
        return {"damage": f"{_CUT}: {error}", "full": False}
    except (RuntimeError, NotImplementedError) as error:  # zipfile: a password, an unknown compression
        return {"damage": str(error), "full": False}
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        where = f"{error.filename}: " if error.filename else ""
        return {"damage": f"{where}{error.strerror or error}", "full": full}
    return {}


class _ArtifactWriter:
    """Where it goes."""

    def __init__(self, order: Order) -> None:
        self._target, self._uid, self._gid = order.target, order.uid, order.gid
        self._limit = self._left = order.limit
        self._links: Set[str] = set()
        self._known: Set[str] = set()
        top = os.path.realpath(order.target).split("/")[1]
        if top in order.forbidden:
            raise ArtifactError(f"a link of the image leads to /{top}, where nothing lasts")

    def parents_of_target(self) -> None:
        """Make the directories that lead to the target: root's, mode 0755."""
        # os, since nothing can be imported in the root.
        os.makedirs(os.path.dirname(self._target), 0o755, exist_ok=True)  # noqa: PTH103, PTH120

    def write(self, path: str, content: IO[bytes], mode: int) -> None:
        """Write a file in place of one of its name."""
        with suppress(FileNotFoundError):
            if stat.S_ISDIR(os.lstat(path).st_mode):
                raise ArtifactError(f"{path} is a directory in the image")
            os.unlink(path)  # noqa: PTH108
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(path, flags, 0o600)
        try:
            size = 0
            while piece := content.read(_PIECE):
                self._left -= len(piece)
                if self._left < 0:
                    raise ArtifactError(f"it is larger than the root volume ({quantities.size(self._limit)})")
                size += len(piece)
                if piece.count(0) == len(piece):  # a hole
                    os.lseek(file, size, os.SEEK_SET)
                    continue
                view = memoryview(piece)
                while view:
                    view = view[os.write(file, view) :]
            os.ftruncate(file, size)
            os.fchown(file, self._uid, self._gid)
            os.fchmod(file, mode)
        finally:
            os.close(file)

    def unpack(self, file: IO[bytes], kind: str, strip: int) -> None:
        """Unpack a tar or a zip into the target."""
        self.parents_of_target()
        self._directory(self._target)
        count = kept = 0
        for member in _tar(file) if kind == "tar" else _zip(file):
            count += 1
            if count > MOST_MEMBERS:
                raise ArtifactError(f"it has more than {MOST_MEMBERS} members")
            parts = _parts(member.name)[strip:]
            if parts:
                kept += 1
                self._put(member, parts, strip)
        if count and not kept:
            raise ArtifactError(f"strip: {strip} leaves nothing of its {count} members")

    def _put(self, member: _ArtifactMember, parts: "list[str]", strip: int) -> None:
        path = f"{self._target}/{'/'.join(parts)}"
        self._parents(parts[:-1])
        if member.kind == "directory":
            self._inside(path)
            self._directory(path)
            return
        if member.kind == "file":
            self._links.discard(path)
            if member.open is None:
                raise ArtifactError(f"{_shown(member.name)} has no content")
            with member.open() as content:
                self.write(path, content, 0o755 if member.executable else 0o644)
            return
        with suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108
        if member.kind == "link":
            other = _parts(member.target)[strip:]
            self._parents(other[:-1])
            source = f"{self._target}/{'/'.join(other)}"
            if not other or not stat.S_ISREG(os.lstat(source).st_mode):
                raise ArtifactError(f"{_shown(member.name)} is a hard link to what is no file of the archive")
            os.link(source, path, follow_symlinks=False)
            return
        _hold_link(member, parts)
        os.symlink(member.target, path)  # noqa: PTH211
        os.lchown(path, self._uid, self._gid)
        self._links.add(path)

    def _parents(self, parts: "list[str]") -> None:
        """Make the directories of a member that the archive does not name."""
        path = self._target
        for part in parts:
            path = f"{path}/{part}"
            if path not in self._known:
                self._inside(path)
                self._directory(path)

    def _inside(self, path: str) -> None:
        if path in self._links:
            raise ArtifactError(f"{_shown(path)} is a link of the archive, and a directory of it as well")

    def _directory(self, path: str) -> None:
        """Make a directory, or keep the one that is there; a link of the image to one stays in its place."""
        try:
            os.mkdir(path, 0o755)  # noqa: PTH102
        except FileExistsError:
            if not os.path.isdir(path):  # noqa: PTH112
                raise ArtifactError(f"{path} is in the image, and no directory") from None
        else:
            os.chown(path, self._uid, self._gid)
        self._known.add(path)


def _tar(file: IO[bytes]) -> Iterator[_ArtifactMember]:
    with tarfile.open(fileobj=file, mode="r|*") as archive:
        for member in archive:
            archive.members = []  # type: ignore[attr-defined]  # it would keep them all
            if member.isreg():
                yield _ArtifactMember(
                    member.name, "file", bool(member.mode & 0o100), "", _opener(archive, member)
                )
            elif member.isdir():
                yield _ArtifactMember(member.name, "directory", True)
            elif member.issym():
                yield _ArtifactMember(member.name, "symlink", False, member.linkname)
            elif member.islnk():
                yield _ArtifactMember(member.name, "link", False, member.linkname)
            else:
                kind = _KINDS.get(member.type, "a member of an unknown kind")
                raise ArtifactError(f"{_shown(member.name)} is {kind}")


def _opener(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Callable[[], IO[bytes]]:
    def opened() -> IO[bytes]:
        content = archive.extractfile(member)
        if content is None:
            raise ArtifactError(_CUT)
        return content

    return opened


def _zip(file: IO[bytes]) -> Iterator[_ArtifactMember]:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            mode = info.external_attr >> 16 if info.create_system == 3 else 0  # Unix: APPNOTE.TXT 4.4.2
            if info.is_dir():
                yield _ArtifactMember(info.filename, "directory", True)
            elif stat.S_ISLNK(mode):
                if info.file_size > 4096:  # PATH_MAX
                    raise ArtifactError(f"{_shown(info.filename)} is a link that is too long")
                yield _ArtifactMember(info.filename, "symlink", False, archive.read(info).decode("utf-8"))
            elif stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                raise ArtifactError(f"{_shown(info.filename)} is no file, directory or link")
            else:
                content = partial(_content, archive, info)
                yield _ArtifactMember(info.filename, "file", bool(mode & 0o100), "", content)


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    return archive.open(info)


def _parts(name: str) -> "list[str]":
    """Return the parts of a member's name. Raises ArtifactError for one that leads elsewhere."""
    if name.startswith("/"):
        raise ArtifactError(f"the name {_shown(name)} is absolute")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts or "\\" in name:
        raise ArtifactError(f"the name {_shown(name)} leads out of the archive")
    if "\0" in name or "\n" in name:
        raise ArtifactError(f"the name {_shown(name)} has a line break or a zero in it")
    return parts


def _hold_link(member: _ArtifactMember, parts: "list[str]") -> None:
    """Raise ArtifactError when a symbolic link leads out of the target."""
    depth = len(parts) - 1
    bad = member.target.startswith("/") or "\0" in member.target or not member.target
    for part in member.target.split("/"):
        depth += -1 if part == ".." else part not in ("", ".")
        bad = bad or depth < 0
    if bad:
        raise ArtifactError(f"{_shown(member.name)} is a link out of the archive, to {_shown(member.target)}")


def _shown(name: str) -> str:
    return ascii(name)[1:-1][:200]


# What tarfile and zipfile import when they first need it is imported while that is possible.
_DECOMPRESSORS = (bz2, gzip, lzma)
_ENCODING = codecs.lookup("cp437")  # of the names in a zip that are not said to be UTF-8
