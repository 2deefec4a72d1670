"""The inodes of the file system to be: made of the entries, numbered, with what each needs in blocks."""

from __future__ import annotations

from typing import Dict, List, Optional, Sequence, Tuple

from ingot.bake.disk.ext4 import directory, xattr
from ingot.bake.disk.ext4.extents import Extent
from ingot.bake.disk.ext4.geometry import BLOCK, FIRST_INODE, INODE_SIZE, TABLE_ALIGNMENT
from ingot.bake.disk.ext4.holes import data_runs
from ingot.bake.tree import Entry, Kind, encode
from ingot.errors import BakeError

ROOT_INODE, LOST_AND_FOUND_INODE = 2, 11
# Inodes of the two layers lie in different blocks of 512 KiB.
_LAYER_ALIGNMENT = TABLE_ALIGNMENT * BLOCK // INODE_SIZE
_LONGEST_NAME, _LONGEST_LINK, _LONGEST_FAST_LINK = 255, 4095, 59
_TYPES = {
    Kind.FILE: directory.TYPE_FILE,
    Kind.DIRECTORY: directory.TYPE_DIRECTORY,
    Kind.SYMLINK: directory.TYPE_SYMLINK,
    Kind.CHARACTER: directory.TYPE_CHARACTER,
    Kind.BLOCK: directory.TYPE_BLOCK,
    Kind.FIFO: directory.TYPE_FIFO,
}


class Node:
    """One inode. ``runs``: (logical, count) of the 4 KiB blocks that hold data; ``data_layer``: where these are placed."""

    __slots__ = (
        "children", "content", "data_layer", "entry", "extents", "inline", "is_directory", "layer", "leaves", "links", "number",
        "parent", "runs", "subdirectories", "xattr_block", "xattr_content", "xattr_inline",
    )  # fmt: skip

    def __init__(self, entry: Entry, parent: Optional["Node"]) -> None:
        self.entry = entry
        self.parent = parent
        self.is_directory = entry.kind is Kind.DIRECTORY
        self.layer = self.data_layer = entry.layer
        self.number = 0
        self.links = 0
        self.subdirectories = 0
        self.children: List[Tuple[bytes, Node]] = []
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
        """Return the blocks of a directory whose children have their numbers."""
        parent = self if self.parent is None else self.parent
        children = [(name, child.number, _TYPES[child.entry.kind]) for name, child in self.children]
        return directory.build(self.number, parent.number, children)


def build_nodes(entries: Sequence[Entry], epoch: int) -> List[Node]:
    """Return the nodes of ``entries`` (sorted): the root first, lost+found second, the rest in the order of their paths.

    Raises BakeError for a tree that no file system can hold: no parent, a name twice, a name or link target too long.
    """
    top = next(
        (entry for entry in entries if entry.path == "/"), Entry("/", Kind.DIRECTORY, 0o755, mtime=epoch)
    )
    root = Node(top, None)
    directories: Dict[str, Node] = {"/": root, "": root}
    groups: Dict[str, Node] = {}
    nodes = [root]
    seen = {"/"}
    if not any(entry.path == "/lost+found" for entry in entries):
        entries = [Entry("/lost+found", Kind.DIRECTORY, 0o700, mtime=epoch), *entries]
    for entry in entries:
        if entry.path == "/":
            continue
        if entry.path in seen:
            raise BakeError(f"{entry.path} is twice in the tree")
        seen.add(entry.path)
        where, _, name = entry.path.rpartition("/")
        parent = directories.get(where)
        if parent is None:
            raise BakeError(f"{entry.path}: no directory {where} in the tree")
        _link(entry, parent, encode(name), nodes, groups, directories)
    _order(nodes)
    for node in nodes:
        _measure(node)
    return nodes


def _link(
    entry: Entry,
    parent: Node,
    name: bytes,
    nodes: List[Node],
    groups: Dict[str, Node],
    directories: Dict[str, Node],
) -> None:
    if not 0 < len(name) <= _LONGEST_NAME:
        raise BakeError(f"{entry.path}: a name of {len(name)} bytes; expected 1 to {_LONGEST_NAME}")
    node = groups.get(entry.group) if entry.group is not None else None
    if node is None:
        node = Node(entry, parent)
        nodes.append(node)
        if entry.group is not None:
            groups[entry.group] = node
        if node.is_directory:
            directories[entry.path] = node
            node.links = 1
            parent.subdirectories += 1
    node.layer = node.data_layer = max(node.layer, entry.layer)
    parent.data_layer = max(parent.data_layer, entry.layer)
    node.links += 1
    parent.children.append((name, node))


def _order(nodes: List[Node]) -> None:
    """Number the inodes: the lower layer from 12 on, the upper one from the next whole 512 KiB of the inode table on."""
    nodes[0].links = 2
    following = FIRST_INODE
    for layer in (0, 1):
        for node in nodes:
            if node.entry.path == "/":
                node.number = ROOT_INODE
            elif node.entry.path == "/lost+found":
                node.number = LOST_AND_FOUND_INODE
            elif node.layer == layer:
                node.number = following
                following += 1
        following = -(-(following - 1) // _LAYER_ALIGNMENT) * _LAYER_ALIGNMENT + 1
    for node in nodes:
        if node.is_directory:
            node.links += node.subdirectories
            # More than the 16 bits hold: 1 says "unknown" (dir_nlink).
            node.links = 1 if node.links >= 65000 else node.links
            node.children.sort(key=lambda child: child[0])
        elif node.links >= 65000:
            raise BakeError(f"{node.entry.path} has {node.links} names; expected at most 64999 hard links")


def _measure(node: Node) -> None:
    """Say which blocks a node's content needs."""
    entry = node.entry
    if node.is_directory:
        node.runs = [(0, directory.blocks_needed([name for name, _ in node.children]))]
    elif entry.kind is Kind.SYMLINK:
        target = encode(entry.link or "")
        if not 0 < len(target) <= _LONGEST_LINK:
            raise BakeError(
                f"{entry.path}: a link target of {len(target)} bytes; expected 1 to {_LONGEST_LINK}"
            )
        if len(target) <= _LONGEST_FAST_LINK:
            node.inline = target.ljust(60, b"\0")
        else:
            node.content, node.runs = target, [(0, 1)]
    elif entry.kind is Kind.FILE and entry.size:
        if entry.data is not None and len(entry.data) != entry.size:
            raise BakeError(f"{entry.path}: {len(entry.data)} bytes of content for a size of {entry.size}")
        node.runs = data_runs(entry)
