"""The inodes of the file system to be: made of the entries, numbered, with what each needs in blocks."""

from __future__ import annotations

from typing import Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from ingot.bake.disk.ext4 import directory, xattr
from ingot.bake.disk.ext4.extents import Extent
from ingot.bake.disk.ext4.geometry import BLOCK, FIRST_INODE, INODE_SIZE, TABLE_ALIGNMENT
from ingot.bake.disk.ext4.holes import data_runs
from ingot.bake.tree.tree import Entry, Kind, encode, sort_entries
from ingot.errors import BakeError

ROOT_INODE, LOST_AND_FOUND_INODE = 2, 11
FIXED_INODES = {"/": ROOT_INODE, "/lost+found": LOST_AND_FOUND_INODE}
# Inodes of the lower and of the upper layer are in different blocks of 512 KiB.
_LAYER_ALIGNMENT = TABLE_ALIGNMENT * BLOCK // INODE_SIZE
_MOST_LINKS = 65000  # EXT4_LINK_MAX
_LONGEST_NAME, _LONGEST_LINK, _LONGEST_FAST_LINK = 255, 4095, 59
_TYPES = {
    Kind.FILE: directory.TYPE_FILE,
    Kind.DIRECTORY: directory.TYPE_DIRECTORY,
    Kind.SYMLINK: directory.TYPE_SYMLINK,
    Kind.CHARACTER: directory.TYPE_CHARACTER,
    Kind.BLOCK: directory.TYPE_BLOCK,
    Kind.FIFO: directory.TYPE_FIFO,
}


class PlannedInode:
    """One inode.

    ``runs``: (logical, count) of the 4 KiB blocks that hold data; ``children``: (name, inode, type), by name.
    """

    __slots__ = (
        "children",
        "content",
        "entry",
        "extents",
        "inline",
        "is_directory",
        "leaves",
        "links",
        "number",
        "parent",
        "runs",
        "xattr_block",
        "xattr_content",
        "xattr_inline",
    )

    def __init__(self, entry: Entry, number: int, parent: int) -> None:
        self.entry = entry
        self.number = number
        self.parent = parent
        self.is_directory = entry.kind is Kind.DIRECTORY
        self.links = 0
        self.children: List[directory.Child] = []
        self.content: Optional[bytes] = entry.data
        self.inline = b""
        self.runs: List[Tuple[int, int]] = []
        self.extents: List[Extent] = []
        self.leaves: List[int] = []
        self.xattr_inline, self.xattr_content = xattr.build(entry.xattrs, entry.path)
        self.xattr_block = 0

    @property
    def data_blocks(self) -> int:
        """How many blocks the content takes, without holes."""
        return sum(count for _, count in self.runs)

    @property
    def all_blocks(self) -> int:
        """How many blocks the inode owns in all, once it is placed."""
        return self.data_blocks + len(self.leaves) + bool(self.xattr_content)

    def directory_data(self) -> List[bytearray]:
        """Return the blocks of a directory."""
        return directory.build(self.number, self.parent, self.children)

    def finish(self) -> None:
        """Count a directory's links, now that all its children are known, and say which
        blocks the content needs.
        """
        if self.is_directory:
            self.children.sort()
            links = 2 + sum(kind == directory.TYPE_DIRECTORY for _, _, kind in self.children)
            # More than the 16 bits hold: 1 says "unknown" (dir_nlink).
            self.links = 1 if links >= _MOST_LINKS else links
        elif self.links >= _MOST_LINKS:
            raise BakeError(f"{self.entry.path} has {self.links} hard links; ext4 allows 64999")
        _measure(self)


def number_inodes(entries: Iterable[Entry], first: int = FIRST_INODE) -> Tuple[Dict[str, int], int]:
    """Return the inode number of each of ``entries`` (sorted) by its path, counting from
    ``first``, and the next free number.
    """
    numbers: Dict[str, int] = {}
    groups: Dict[str, int] = {}
    for entry in entries:
        if entry.path in FIXED_INODES:
            numbers[entry.path] = FIXED_INODES[entry.path]
        elif entry.group in groups:
            numbers[entry.path] = groups[entry.group]
        else:
            numbers[entry.path] = first
            if entry.group is not None:
                groups[entry.group] = first
            first += 1
    return numbers, first


def first_upper_inode(following: int) -> int:
    """Return the number of the upper layer's first inode, when ``following`` is the next
    one after the lower layer's.
    """
    return -(-(following - 1) // _LAYER_ALIGNMENT) * _LAYER_ALIGNMENT + 1


def whole_tree(entries: Sequence[Entry], epoch: int) -> List[Entry]:
    """Return ``entries`` (sorted) with the root and lost+found, which every file system has."""
    known = {entry.path for entry in entries}
    missing = [
        Entry(path, Kind.DIRECTORY, mode, mtime=epoch)
        for path, mode in (("/", 0o755), ("/lost+found", 0o700))
        if path not in known
    ]
    return sort_entries([*missing, *entries]) if missing else list(entries)


def build_nodes(
    entries: Sequence[Entry],
    numbers: Mapping[str, int],
    directories: Optional[Dict[str, PlannedInode]] = None,
) -> List[PlannedInode]:
    """Return the nodes of ``entries`` (sorted) in the order of their paths; ``numbers``
    has those of their parents as well.

    ``directories`` are nodes that are there already, by path: children among the entries are added to them.
    Raises BakeError for a tree that no file system can hold: no parent, a name twice, a name or link target
    too long.
    """
    above = dict(directories or {})
    nodes: Dict[int, PlannedInode] = {}
    seen = set()
    for entry in entries:
        if entry.path in seen:
            raise BakeError(f"{entry.path} is twice in the tree")
        seen.add(entry.path)
        where, _, name = entry.path.rpartition("/")
        parent = above.get(where or "/")
        if entry.path != "/":
            _check_name(entry, encode(name), parent)
        number = numbers[entry.path]
        node = nodes.get(number)
        if node is None:
            node = nodes[number] = PlannedInode(entry, number, parent.number if parent else number)
            if node.is_directory:
                above[entry.path] = node
        node.links += 1
        if parent is not None and entry.path != "/":
            parent.children.append((encode(name), number, _TYPES[entry.kind]))
    for node in nodes.values():
        node.finish()
    return list(nodes.values())


def _check_name(entry: Entry, name: bytes, parent: Optional[PlannedInode]) -> None:
    if parent is None:
        raise BakeError(f"{entry.path}: no directory {entry.path.rpartition('/')[0]} in the tree")
    if not 0 < len(name) <= _LONGEST_NAME:
        raise BakeError(f"{entry.path}: its name has {len(name)} bytes; ext4 allows 1 to {_LONGEST_NAME}")


def _measure(node: PlannedInode) -> None:
    """Say which blocks a node's content needs."""
    entry = node.entry
    if node.is_directory:
        node.runs = [(0, directory.blocks_needed([name for name, _, _ in node.children]))]
    elif entry.kind is Kind.SYMLINK:
        target = encode(entry.link or "")
        if not 0 < len(target) <= _LONGEST_LINK:
            raise BakeError(
                f"{entry.path}: its target has {len(target)} bytes; ext4 allows 1 to {_LONGEST_LINK}"
            )
        if len(target) <= _LONGEST_FAST_LINK:
            node.inline = target.ljust(60, b"\0")
        else:
            node.content, node.runs = target, [(0, 1)]
    elif entry.kind is Kind.FILE and entry.size:
        if entry.data is not None and len(entry.data) != entry.size:
            raise BakeError(f"{entry.path}: {len(entry.data)} bytes of content for a size of {entry.size}")
        node.runs = data_runs(entry)
