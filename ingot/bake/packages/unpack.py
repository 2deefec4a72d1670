"""The tar in a package: what dpkg takes of the format, read from a pipe, and its
extraction by a process whose root is the image's.

That process resolves every name and link as the image itself will, so none leads out of it. It makes files,
directories, links and FIFOs; device files, names with "..", other kinds of members, and more than the limits
allow are errors. Formats: tar(5), "Pre-POSIX", "UStar" and "GNU tar archives"; dpkg knows no others (dpkg's
lib/dpkg/tarfn.c).
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO, Dict, Iterator, List, Optional, Sequence, Tuple

from ingot import quantities

_BLOCK = 512
_PIECE = 1 << 20
_LONGEST_NAME = 1 << 16  # PATH_MAX is 4096
_MOST_MEMBERS = 1_000_000
_SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ, fcntl(2)
_FILES = b"0\x007"
_LONG_NAME, _LONG_LINK = b"L", b"K"


class ArchiveError(Exception):
    """The archive is damaged, or holds what it must not. The message says what."""


@dataclass
class Member:
    """One member: ``name`` without "./" at its begin and "/" at its end, "" for the root;
    ``kind`` as in :mod:`stat`, or "link".
    """

    name: bytes
    kind: str
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    target: bytes


_KINDS = {b"1": "link", b"2": "symlink", b"3": "character", b"4": "block", b"5": "directory", b"6": "fifo"}


class TarStream:
    """The members of a tar that is read once, from its begin; ``limit``: how many bytes it may have."""

    def __init__(self, stream: BinaryIO, limit: int) -> None:
        self._stream = stream
        self._limit = self._left_of_limit = limit
        self._left = 0  # bytes of the current member's content, with what fills its last block
        self._members = 0

    def members(self) -> Iterator[Member]:
        """Give each member; its content is :meth:`content` until the next one is asked for.

        Raises ArchiveError.
        """
        name: Optional[bytes] = None
        target: Optional[bytes] = None
        while True:
            while self._left:
                self._left -= len(self._read(min(self._left, _PIECE)))
            header = self._read(_BLOCK)
            if header.count(0) == _BLOCK:
                break
            size = _number(header[124:136])
            kind = header[156:157]
            _check_sum(header)
            self._left = (
                -(-size // _BLOCK) * _BLOCK if kind in _FILES or kind in (_LONG_NAME, _LONG_LINK) else 0
            )
            if kind in (_LONG_NAME, _LONG_LINK):
                if size > _LONGEST_NAME:
                    raise ArchiveError("it has a name that is too long")
                text = b"".join(self.content(size)).rstrip(b"\0")
                name, target = (text, target) if kind == _LONG_NAME else (name, text)
                continue
            self._members += 1
            if self._members > _MOST_MEMBERS:
                raise ArchiveError(f"it has more than {_MOST_MEMBERS} members")
            yield _member(header, size, name, target)
            name = target = None
        while self._read_some(_PIECE):  # usually zeros: let the pipe's writer finish without an error
            pass

    def content(self, size: int) -> Iterator[bytes]:
        """Give the content of the current member, of ``size`` bytes, in pieces."""
        while size > 0:
            piece = self._read(min(size, _PIECE))
            self._left -= len(piece)
            size -= len(piece)
            yield piece

    def _read(self, size: int) -> bytes:
        data = self._read_some(size)
        if len(data) < size:
            raise ArchiveError("its contents are damaged")
        return data

    def _read_some(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._left_of_limit -= len(data)
        if self._left_of_limit < 0:
            raise ArchiveError(f"unpacked it is larger than {quantities.size(self._limit)}")
        return data


def _member(header: bytes, size: int, name: Optional[bytes], target: Optional[bytes]) -> Member:
    if name is None:
        name = _text(header[:100])
        if header[257:263] == b"ustar\0" and header[345]:
            name = _text(header[345:500]) + b"/" + name
    flag = header[156:157]
    kind = _KINDS.get(flag, "file" if flag in _FILES else "")
    if not kind:
        raise ArchiveError(f"{_shown(name)} is a member of an unknown kind ({_shown(flag)})")
    if kind == "file" and name.endswith(b"/"):
        kind = "directory"
    if target is None:
        target = _text(header[157:257])
    return Member(
        _clean(name),
        kind,
        _number(header[100:108]) & 0o7777,
        _number(header[108:116]),
        _number(header[116:124]),
        size if kind == "file" else 0,
        _number(header[136:148]),
        _clean(target) if kind == "link" else target,
    )


def _clean(name: bytes) -> bytes:
    """Return a name without "./" and "/" at its begin and end.

    Raises ArchiveError for one that climbs, or that dpkg cannot list.
    """
    parts = [part for part in name.split(b"/") if part not in (b"", b".")]
    if b".." in parts:
        raise ArchiveError(f"the name {_shown(name)} leads out of its directory")
    if b"\n" in name or b"\0" in name:
        raise ArchiveError(f"the name {_shown(name)} has a line break or a zero in it")
    return b"/".join(parts)


def _text(field: bytes) -> bytes:
    return field.split(b"\0", 1)[0]


def _number(field: bytes) -> int:
    if field[0] & 0x80:  # GNU tar's own form, for what needs more digits
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big") if field[0] == 0x80 else -1
    try:
        return int(field.strip(b"\0 ") or b"0", 8)
    except ValueError:
        raise ArchiveError("its contents are damaged") from None


def _check_sum(header: bytes) -> None:
    if (
        sum(header) - sum(header[148:156]) + 8 * 32 != _number(header[148:156])
        or _number(header[124:136]) < 0
    ):
        raise ArchiveError("its contents are damaged")


def _shown(name: bytes) -> str:
    return ascii(name.decode("utf-8", "surrogateescape"))[1:-1]


def unpack(descriptor: int, *, only: Sequence[str], limit: int) -> Dict[str, Any]:
    """Extract the tar that comes from ``descriptor`` into the root directory, or ``only``
    these paths; for :meth:`Spawner.call`.

    Returns {"paths": […]}, "/usr", "/usr/bin", … in the archive's order, or {"damage": why, "full": whether
    there is no room}.
    """
    with suppress(OSError):  # an ordinary user's pipes may have reached their limit: pipe(7)
        fcntl.fcntl(descriptor, _SET_PIPE_SIZE, _PIECE)
    os.umask(0)
    wanted = frozenset(os.fsencode(path.strip("/")) for path in only)
    paths: List[str] = []
    name = b""
    try:
        with open(descriptor, "rb", _PIECE) as stream:
            archive, tree = TarStream(stream, limit), _PackageWriter()
            for member in archive.members():
                name = member.name
                if not wanted or name in wanted:
                    tree.put(member, archive)
                    paths.append(f"/{os.fsdecode(name) or '.'}")
            tree.finish()
    except ArchiveError as error:
        return {"damage": str(error), "full": False}
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return {"damage": f"/{_shown(name)}: {error.strerror}", "full": full}
    return {"paths": paths}


class _PackageWriter:
    """What is put below the root directory."""

    def __init__(self) -> None:
        self._directories: List[Tuple[bytes, Member]] = []

    def put(self, member: Member, archive: TarStream) -> None:
        """Make a member, in place of what has its name."""
        if member.kind in ("character", "block"):
            raise ArchiveError(f"/{_shown(member.name)} is a device file, which no image has")
        place = b"/" + member.name
        if member.kind == "directory":
            self._put_directory(place, member)
            return
        if not member.name:
            raise ArchiveError("its root is no directory")
        try:
            self._make(place, member, archive)
        except FileExistsError:
            _remove(place)
            self._make(place, member, archive)
        except FileNotFoundError:
            _make_parents(place)
            self._make(place, member, archive)

    def _make(self, place: bytes, member: Member, archive: TarStream) -> None:
        if member.kind == "file":
            _write(place, member, archive)
            return
        if member.kind == "link":
            os.link(b"/" + member.target, place, follow_symlinks=False)
            return
        if member.kind == "symlink":
            os.symlink(member.target, place)  # noqa: PTH211 - bytes
        else:
            os.mkfifo(place, 0o600)
        os.lchown(place, member.uid, member.gid)
        if member.kind == "fifo":
            os.chmod(place, member.mode)  # noqa: PTH101 - bytes
        os.utime(place, (member.mtime, member.mtime), follow_symlinks=False)

    def _put_directory(self, place: bytes, member: Member) -> None:
        """Make a directory, or keep the one that is there; a link to one stays in its
        place, as dpkg leaves it.
        """
        try:
            os.mkdir(place, 0o700)  # noqa: PTH102 - bytes
        except FileNotFoundError:
            _make_parents(place)
            os.mkdir(place, 0o700)  # noqa: PTH102
        except FileExistsError:
            status = os.lstat(place)
            if stat.S_ISLNK(status.st_mode) and os.path.isdir(place):  # noqa: PTH112 - bytes
                return
            if not stat.S_ISDIR(status.st_mode):
                _remove(place)
                os.mkdir(place, 0o700)  # noqa: PTH102
        # What is extracted into it later would change its time again.
        self._directories.append((place, member))

    def finish(self) -> None:
        """Give the directories their owners, modes and times."""
        for place, member in reversed(self._directories):
            os.lchown(place, member.uid, member.gid)
            os.chmod(place, member.mode)  # noqa: PTH101 - bytes
            os.utime(place, (member.mtime, member.mtime))


def _write(place: bytes, member: Member, archive: TarStream) -> None:
    file = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        for piece in archive.content(member.size):
            view = memoryview(piece)
            while view:
                view = view[os.write(file, view) :]
        os.fchown(file, member.uid, member.gid)
        os.fchmod(file, member.mode)  # after chown, which clears setuid and setgid
        os.utime(file, (member.mtime, member.mtime))
    finally:
        os.close(file)


def _make_parents(place: bytes) -> None:
    """Make the directories that lead to ``place``: root's, mode 0755."""
    parts = place.split(b"/")[1:-1]
    for end in range(1, len(parts) + 1):
        directory = b"/" + b"/".join(parts[:end])
        with suppress(FileExistsError):
            os.mkdir(directory, 0o755)  # noqa: PTH102 - bytes


def _remove(place: bytes) -> None:
    if stat.S_ISDIR(os.lstat(place).st_mode):
        os.rmdir(place)  # noqa: PTH106 - bytes
    else:
        os.unlink(place)  # noqa: PTH108 - bytes
