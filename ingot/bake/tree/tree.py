"""A tree of files as a sorted list of entries: what the disk writer takes, what the manifest describes.

Paths are absolute inside the image (``/``, ``/etc/passwd``). Names that are no UTF-8 travel as surrogate
escapes, whatever the locale of this process is: :func:`encode` gives the true bytes. Lists are sorted by
these bytes, so that no directory order of any file system shows in an image.
"""

from __future__ import annotations

import hashlib
import os
import stat
from bisect import bisect_left
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from enum import Enum
from pathlib import Path
from typing import (
    ContextManager,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

from ingot.errors import BakeError

# What is read at once of a file that is hashed.
READ_SIZE = 1 << 20
# How many files one task hashes: handing over a task costs as much as hashing a small file.
BATCH = 64
# Attributes that belong to the image. Others say something about the machine that bakes: SELinux labels,
# overlayfs' own marks.
KEPT_XATTRS = ("security.capability", "system.posix_acl_access", "system.posix_acl_default")
KEPT_XATTR_PREFIX = "user."
# How overlayfs marks a directory that hides the lower one of the same name (kernel:
# Documentation/filesystems/overlayfs.rst).
OPAQUE_XATTRS = ("trusted.overlay.opaque", "user.overlay.opaque")


class Kind(str, Enum):
    """What an entry is."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    CHARACTER = "char"
    BLOCK = "block"
    FIFO = "fifo"


class Entry(NamedTuple):
    """One name in the tree.

    ``mode`` holds the permission bits alone (0o7777), ``mtime`` Unix seconds, ``size`` bytes of content (of a
    symbolic link: of its target). ``link`` is a symbolic link's target. ``group`` names the hard-link group
    (the first path of it), None for a file with one name. ``source`` is the file on this machine that has the
    content; ``data`` the content itself, which wins.
    """

    path: str
    kind: Kind
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    size: int = 0
    link: Optional[str] = None
    group: Optional[str] = None
    device: Tuple[int, int] = (0, 0)
    xattrs: Tuple[Tuple[str, bytes], ...] = ()
    source: Optional[str] = None
    data: Optional[bytes] = None
    sha256: Optional[str] = None
    opaque: bool = False

    @property
    def is_whiteout(self) -> bool:
        """Whether this is overlayfs' mark of a removed file: a character device 0, 0."""
        return self.kind is Kind.CHARACTER and self.device == (0, 0)


def encode(path: str) -> bytes:
    """Return the bytes of a path or link target, whatever the locale is."""
    return path.encode("utf-8", "surrogateescape")


def decode(path: bytes) -> str:
    """Return the text of a path or link target; bytes that are no UTF-8 become surrogate escapes."""
    return path.decode("utf-8", "surrogateescape")


def sort_entries(entries: Iterable[Entry]) -> List[Entry]:
    """Return ``entries`` in the order that every list of entries has: by the bytes of the path."""
    return sorted(entries, key=lambda entry: encode(entry.path))


def file_entry(
    path: str, data: bytes, *, mode: int = 0o644, mtime: int = 0, uid: int = 0, gid: int = 0
) -> Entry:
    """Return the entry of a file that exists in memory only."""
    digest = hashlib.sha256(data).hexdigest()
    return Entry(path, Kind.FILE, mode, uid, gid, mtime, len(data), data=data, sha256=digest)


def scan(root: Path, *, live: bool = False) -> List[Entry]:
    """Return every entry below ``root``, itself included as ``/``, sorted.

    Symbolic links are not followed; sockets are left out, they mean nothing in an image. ``live``: the tree
    is in use, so what vanishes meanwhile is left out, too. Raises BakeError for what cannot be read.
    """
    passing: ContextManager[None] = suppress(FileNotFoundError) if live else nullcontext()
    found: List[Entry] = []
    links: Dict[Tuple[int, int], List[int]] = {}
    top = os.fsencode(root)
    try:
        found.append(_entry(top, b"/", os.lstat(top)))
        pending = [(top, b"")]
        while pending:
            directory, prefix = pending.pop()
            with passing, os.scandir(directory) as names:
                for name in names:
                    path = prefix + b"/" + name.name
                    with passing:
                        status = name.stat(follow_symlinks=False)
                        if stat.S_ISSOCK(status.st_mode):
                            continue
                        entry = _entry(name.path, path, status)
                        if stat.S_ISDIR(status.st_mode):
                            pending.append((name.path, path))
                        elif status.st_nlink > 1:
                            links.setdefault((status.st_dev, status.st_ino), []).append(len(found))
                        found.append(entry)
    except OSError as error:
        raise BakeError(f"{error.filename!r} cannot be read: {error.strerror}") from error
    for members in links.values():
        if len(members) > 1:
            first = min((found[index].path for index in members), key=encode)
            for index in members:
                found[index] = found[index]._replace(group=first)
    return sort_entries(found)


def entry_at(root: Path, path: str) -> Entry:
    """Return the entry of what is at ``path`` in the tree below ``root``, as :func:`scan` does, without its
    hard-link group. Raises OSError.
    """
    source = os.fsencode(root) + encode(path)
    return _entry(source, encode(path), os.lstat(source))


_KINDS = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFCHR: Kind.CHARACTER,
    stat.S_IFBLK: Kind.BLOCK,
    stat.S_IFIFO: Kind.FIFO,
}


def _entry(source: bytes, path: bytes, status: os.stat_result) -> Entry:
    kind = _KINDS[stat.S_IFMT(status.st_mode)]
    link = None
    size = 0
    device = (0, 0)
    if kind is Kind.SYMLINK:
        target = os.readlink(source)  # noqa: PTH115 - bytes in, bytes out: names may be no UTF-8
        link, size = decode(target), len(target)
    elif kind is Kind.FILE:
        size = status.st_size
    elif kind in (Kind.CHARACTER, Kind.BLOCK):
        device = (os.major(status.st_rdev), os.minor(status.st_rdev))
    names = os.listxattr(source, follow_symlinks=False)
    return Entry(
        decode(path),
        kind,
        stat.S_IMODE(status.st_mode),
        status.st_uid,
        status.st_gid,
        int(status.st_mtime),
        size,
        link,
        None,
        device,
        _xattrs(source, names) if names else (),
        decode(source) if kind is Kind.FILE else None,
        None,
        None,
        any(name in OPAQUE_XATTRS for name in names),
    )


def _xattrs(source: bytes, names: Sequence[str]) -> Tuple[Tuple[str, bytes], ...]:
    kept = sorted(name for name in names if is_kept(name))
    return tuple((name, os.getxattr(source, name, follow_symlinks=False)) for name in kept)


def is_kept(attribute: str) -> bool:
    """Tell whether an extended attribute belongs to the image."""
    ours = attribute in KEPT_XATTRS or attribute.startswith(KEPT_XATTR_PREFIX)
    return ours and not attribute.startswith("user.overlay.")


class Changes(NamedTuple):
    """What makes a tree of the lower layer into another one, however it came about.

    ``entries`` are all that is new or not the same any more, sorted, files with their digests. ``gone`` are
    the paths of the lower layer, sorted, that are no more, or no more a name of the same thing: a directory
    that stays one is not among them.
    """

    entries: List[Entry]
    gone: List[str]


class Tree(Mapping[str, Entry]):
    """Entries by path."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries = {entry.path: entry for entry in sort_entries(entries)}
        self._keys = [encode(path) for path in self._entries]

    def __getitem__(self, path: str) -> Entry:
        return self._entries[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def below(self, path: str) -> List[str]:
        """Return the paths below the directory ``path``, sorted."""
        return below(self._keys, path)


def below(keys: Sequence[bytes], path: str) -> List[str]:
    """Return those of the sorted ``keys`` that lie below the directory ``path``."""
    prefix = encode(path.rstrip("/"))
    # "0" follows "/" in ASCII.
    return [decode(key) for key in keys[bisect_left(keys, prefix + b"/") : bisect_left(keys, prefix + b"0")]]


def changes(lower: "Tree", upper: Sequence[Entry]) -> Changes:
    """Return what ``upper``, laid over ``lower`` as overlayfs does, changes: whiteouts
    remove, opaque directories hide.

    ``upper`` is sorted, its files have digests. The same tree gives the same answer: what was removed and
    came back as it was is no change.
    """
    gone = set()
    for entry in upper:
        if entry.is_whiteout or entry.opaque or entry.kind is not Kind.DIRECTORY:
            gone.update(lower.below(entry.path))
        if entry.is_whiteout and entry.path in lower:
            gone.add(entry.path)
    found = []
    # A name more of a hard-linked file makes all its names new ones.
    torn = {e.group for e in upper if e.group and (e.path not in lower or lower[e.path].group != e.group)}
    for entry in upper:
        if entry.is_whiteout:
            continue
        old = lower.get(entry.path)
        if old is not None and entry.group not in torn and _identity(old) == _identity(entry):
            gone.discard(entry.path)
            continue
        found.append(entry)
        if old is not None and old.kind is entry.kind is Kind.DIRECTORY:
            gone.discard(entry.path)
        elif old is not None:
            gone.add(entry.path)
    return Changes(found, sorted(gone, key=encode))


def _identity(entry: Entry) -> Entry:
    return entry._replace(source=None, data=None, opaque=False)


def hash_file(entry: Entry) -> str:
    """Return the SHA-256 of a file's content, in hex."""
    if entry.data is not None:
        return hashlib.sha256(entry.data).hexdigest()
    if entry.source is None:
        raise BakeError(f"{entry.path}: a file without a content")
    digest = hashlib.sha256()
    file = os.open(encode(entry.source), os.O_RDONLY | os.O_CLOEXEC)
    try:
        # Most files are small: no buffer larger than the file, which would cost more than the hash.
        while chunk := os.read(file, min(entry.size + 1, READ_SIZE)):
            digest.update(chunk)
    finally:
        os.close(file)
    return digest.hexdigest()


def hash_files(entries: Sequence[Entry], *, live: bool = False) -> List[Entry]:
    """Return ``entries`` with ``sha256`` filled in for every file; those that have one
    keep it, hard links are read once.

    ``live``: the tree is in use; files that have vanished since they were listed are left out. Raises
    OSError.
    """
    read = _hash_if_there if live else hash_file
    wanted: Dict[str, Entry] = {}
    for entry in entries:
        if entry.kind is Kind.FILE and entry.sha256 is None:
            wanted.setdefault(entry.group or entry.path, entry)
    waiting = list(wanted.values())
    batches = [waiting[at : at + BATCH] for at in range(0, len(waiting), BATCH)]
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        results = pool.map(lambda batch: [read(entry) for entry in batch], batches)
        # No strict=: Python 3.9.
        digests = dict(zip(wanted, (digest for result in results for digest in result)))  # noqa: B905
    found = []
    for entry in entries:
        if entry.kind is not Kind.FILE or entry.sha256 is not None:
            found.append(entry)
        elif digests[entry.group or entry.path] is not None:
            found.append(entry._replace(sha256=digests[entry.group or entry.path]))
    return found


def _hash_if_there(entry: Entry) -> Optional[str]:
    try:
        return hash_file(entry)
    except FileNotFoundError:
        return None
