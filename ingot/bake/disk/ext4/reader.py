"""Reads a finished disk without mounting it: the hygiene gate's eyes, and the round trip
of the writer's tests.

It reads what :mod:`ingot.bake.disk.ext4.writer` writes; a journal that a running machine left is not
replayed.
"""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path
from types import TracebackType
from typing import Dict, Iterator, List, NamedTuple, Optional, Set, Tuple, Type

from ingot.bake.disk import gpt
from ingot.bake.disk.ext4 import directory, extents, inode, superblock, xattr
from ingot.bake.disk.ext4.geometry import BLOCK, DESCRIPTOR, GROUP_BLOCKS
from ingot.bake.disk.ext4.node import ROOT_INODE
from ingot.bake.tree.tree import Entry, Kind, decode, encode
from ingot.errors import BakeError

_KINDS = {mode: kind for kind, mode in inode.MODES.items()}
_HEAD = 17 * 1024  # protective MBR, header and table of a GPT disk


class _StoredInode(NamedTuple):
    kind: Kind
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    links: int
    flags: int
    block: bytes
    xattrs: Tuple[Tuple[str, bytes], ...]


class Ext4Reader:
    """The root file system of a raw disk, open for reading. A context manager."""

    def __init__(self, disk: Path) -> None:
        self._disk = disk
        try:
            self._file = os.open(disk, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise BakeError(f"{disk} cannot be read: {error.strerror}") from error
        try:
            self._open()
        except BaseException:
            os.close(self._file)
            raise

    def _open(self) -> None:
        roots = [
            p for p in gpt.read_table(os.pread(self._file, _HEAD, 0)) if p.type in gpt.ROOT_TYPES.values()
        ]
        if len(roots) != 1:
            raise BakeError(f"{self._disk}: {len(roots)} root partitions instead of one")
        self._start = roots[0].start
        head = os.pread(self._file, 1024, self._start + 1024)
        magic, size = struct.unpack_from("<H", head, 0x38)[0], struct.unpack_from("<I", head, 0x18)[0]
        if magic != superblock.MAGIC or size != 2:
            raise BakeError(
                f"{self._disk}: the root partition holds no ext4 file system with blocks of 4 KiB"
            )
        self._inodes_per_group: int = struct.unpack_from("<I", head, 0x28)[0]
        self._inode_size: int = struct.unpack_from("<H", head, 0x58)[0]
        self._tables: Dict[int, int] = {}
        self._paths: Optional[Dict[str, int]] = None
        self._directories: Dict[str, Dict[str, int]] = {}

    def __enter__(self) -> "Ext4Reader":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        os.close(self._file)

    @property
    def start(self) -> int:
        """Where the root partition begins, in bytes."""
        return self._start

    def entries(self, *, hashes: bool = True) -> List[Entry]:
        """Return all entries, sorted, lost+found included; files with their SHA-256 unless ``hashes`` is off.

        Raises BakeError when the file system is damaged.
        """
        try:
            return self._entries(hashes)
        except (struct.error, KeyError, ValueError, OSError) as error:
            raise BakeError(f"{self._disk}: the root file system is damaged: {error!r}") from error

    def _entries(self, hashes: bool) -> List[Entry]:
        found: List[Entry] = []
        digests: Dict[int, str] = {}
        names = sorted(self._walk(), key=lambda name: encode(name[0]))
        self._paths = dict(names)
        first: Dict[int, str] = {}
        for path, number in names:
            node = self._inode(number)
            if node.kind is not Kind.DIRECTORY and node.links > 1:
                first.setdefault(number, path)
            if hashes and node.kind is Kind.FILE and number not in digests:
                digests[number] = self._digest(node)
            found.append(self._entry(path, node, first.get(number), digests.get(number)))
        return found

    def read(self, path: str) -> bytes:
        """Return the content of the file ``path``. Raises BakeError when there is none."""
        try:
            number = self._find(path) if self._paths is None else self._paths[path]
        except KeyError as error:
            raise BakeError(f"{self._disk}: there is no file {path} in its root file system") from error
        return b"".join(self._content(self._inode(number)))

    def _find(self, path: str) -> int:
        """Return the inode of ``path`` without reading the whole tree. Links are not followed."""
        number, at = ROOT_INODE, ""
        for name in path.strip("/").split("/") if path != "/" else ():
            if at not in self._directories:
                node = self._inode(number)
                listed = directory.parse(b"".join(self._content(node))) if node.kind is Kind.DIRECTORY else ()
                self._directories[at] = {decode(entry): child for entry, child, _ in listed}
            number = self._directories[at][name]
            at = f"{at}/{name}"
        return number

    def entry(self, path: str, number: int) -> Entry:
        """Return what inode ``number`` is under the name ``path``, without digest and hard-link group."""
        return self._entry(path, self._inode(number), None, None)

    def numbers(self) -> Dict[str, int]:
        """Return the inode of every path, sorted."""
        return dict(sorted(self._walk(), key=lambda name: encode(name[0])))

    def extents_of(self, number: int) -> List[extents.Extent]:
        """Return where the content of an inode lies; nothing for what has it in the inode itself."""
        raw = self._raw(number)
        has_tree = struct.unpack_from("<I", raw, 0x20)[0] & inode.EXTENTS_FLAG
        return list(self._extents(raw[0x28:0x64])) if has_tree else []

    def use_paths(self, numbers: Dict[str, int]) -> None:
        """Take ``numbers`` for the inodes of all paths, instead of looking for them."""
        self._paths = numbers

    def inode_tables(self) -> Iterator[Tuple[int, int, int]]:
        """Yield the first inode of each group, and where on the disk its table lies:
        start and length in bytes.
        """
        blocks, per_group = (
            struct.unpack("<I", os.pread(self._file, 4, self._start + 1028))[0],
            self._inodes_per_group,
        )
        for group in range(-(-blocks // GROUP_BLOCKS)):
            self._raw(group * per_group + 1)
            yield (
                group * per_group + 1,
                self._start + self._tables[group] * BLOCK,
                per_group * self._inode_size,
            )

    def at(self, offset: int, length: int) -> bytes:
        """Return bytes of the disk."""
        return os.pread(self._file, length, offset)

    def _entry(self, path: str, node: _StoredInode, group: Optional[str], digest: Optional[str]) -> Entry:
        link = None
        device = (0, 0)
        size = node.size if node.kind in (Kind.FILE, Kind.SYMLINK) else 0
        if node.kind is Kind.SYMLINK:
            target = (
                b"".join(self._content(node)) if node.flags & inode.EXTENTS_FLAG else node.block[: node.size]
            )
            link = decode(target)
        elif node.kind in (Kind.CHARACTER, Kind.BLOCK):
            old, new = struct.unpack_from("<II", node.block)
            device = (old >> 8, old & 0xFF) if old else (new >> 8 & 0xFFF, new & 0xFF | new >> 12 & 0xFFF00)
        return Entry(
            path,
            node.kind,
            node.mode,
            node.uid,
            node.gid,
            node.mtime,
            size,
            link,
            group,
            device,
            node.xattrs,
            sha256=digest,
        )

    def _walk(self) -> Iterator[Tuple[str, int]]:
        """Yield path and inode of everything."""
        yield "/", ROOT_INODE
        pending = [("", ROOT_INODE)]
        seen: Set[int] = {ROOT_INODE}
        while pending:
            prefix, number = pending.pop()
            content = b"".join(self._content(self._inode(number)))
            # Each block's entries end at its end, so the blocks can be read as one.
            for name, child, _ in directory.parse(content):
                path = f"{prefix}/{decode(name)}"
                yield path, child
                if self._kind(child) is Kind.DIRECTORY and child not in seen:
                    seen.add(child)
                    pending.append((path, child))

    def _raw(self, number: int) -> bytes:
        group, index = divmod(number - 1, self._inodes_per_group)
        if group not in self._tables:
            descriptor = os.pread(self._file, DESCRIPTOR, self._start + BLOCK + group * DESCRIPTOR)
            self._tables[group] = struct.unpack_from("<I", descriptor, 8)[0]
        return os.pread(
            self._file, self._inode_size, self._start + self._tables[group] * BLOCK + index * self._inode_size
        )

    def raw_inode(self, number: int) -> bytes:
        """Return the bytes of an inode."""
        return self._raw(number)

    def children(self, number: int) -> List[directory.Child]:
        """Return the entries of a directory: name, inode, type."""
        return list(directory.parse(b"".join(self._content(self._inode(number)))))

    def blocks_of(self, number: int) -> List[Tuple[int, int]]:
        """Return what an inode owns as (start, blocks): content, leaves of its extent tree, attributes."""
        raw = self._raw(number)
        owned = []
        if struct.unpack_from("<I", raw, 0x20)[0] & inode.EXTENTS_FLAG:
            depth, found = extents.parse(raw[0x28:0x64])
            owned += [(extent.physical, 1) for extent in found if depth]
            owned += [(extent.physical, extent.length) for extent in self._extents(raw[0x28:0x64])]
        xattr_block = struct.unpack_from("<I", raw, 0x68)[0]
        return [*owned, (xattr_block, 1)] if xattr_block else owned

    def _kind(self, number: int) -> Kind:
        return _KINDS[struct.unpack_from("<H", self._raw(number))[0] & 0o170000]

    def _inode(self, number: int) -> _StoredInode:
        raw = self._raw(number)
        mode, uid, size = struct.unpack_from("<HHI", raw)
        mtime, _, gid, links, _, flags = struct.unpack_from("<iIHHII", raw, 0x10)
        xattr_block, size_high = struct.unpack_from("<II", raw, 0x68)
        uid_high, gid_high = struct.unpack_from("<HH", raw, 0x78)
        extra = struct.unpack_from("<I", raw, 0x88)[0]
        attributes = xattr.parse_inode(raw[160:])
        if xattr_block:
            attributes += xattr.parse_block(self._block(xattr_block))
        return _StoredInode(
            _KINDS[mode & 0o170000],
            mode & 0o7777,
            uid | uid_high << 16,
            gid | gid_high << 16,
            size | size_high << 32,
            mtime + ((extra & 3) << 32),
            links,
            flags,
            raw[0x28:0x64],
            tuple(sorted(attributes)),
        )

    def _block(self, number: int) -> bytes:
        return os.pread(self._file, BLOCK, self._start + number * BLOCK)

    def _extents(self, node: bytes) -> Iterator[extents.Extent]:
        depth, found = extents.parse(node)
        for extent in found:
            if depth:
                yield from self._extents(self._block(extent.physical))
            else:
                yield extent

    def _content(self, node: _StoredInode) -> Iterator[bytes]:
        """Yield the content in pieces of 1 MiB at most, holes as zeros."""
        at = 0
        for extent in (*self._extents(node.block), extents.Extent(-(-node.size // BLOCK), 0, 0)):
            start = min(extent.logical * BLOCK, node.size)
            while at < start:
                piece = min(start - at, 1 << 20)
                yield bytes(piece)
                at += piece
            end = min((extent.logical + extent.length) * BLOCK, node.size)
            while at < end:
                piece = min(end - at, 1 << 20)
                yield os.pread(
                    self._file, piece, self._start + extent.physical * BLOCK + at - extent.logical * BLOCK
                )
                at += piece

    def _digest(self, node: _StoredInode) -> str:
        digest = hashlib.sha256()
        for piece in self._content(node):
            digest.update(piece)
        return digest.hexdigest()


def read_ext4(disk: Path) -> Ext4Reader:
    """Open the root file system of the raw disk ``disk`` for reading, without mounting it."""
    return Ext4Reader(disk)
