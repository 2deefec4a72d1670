"""What need not be looked at again: of a disk that is a changed copy of the lower
layer's, all that is still the same there.

Which inodes changed is read from the two disks, not taken from the writer: the blocks whose digests differ
are compared, inode table by inode table.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from ingot.bake.disk import Ext4Reader, read_ext4
from ingot.bake.disk.index import LayerIndex, Patched
from ingot.bake.hygiene import contents, identity, permissions, traces
from ingot.bake.hygiene.view import Declared, View
from ingot.bake.tree.tree import Entry, Kind, Tree, decode
from ingot.blocks import BLOCK_SIZE

# The checks that look at one file after the other.
_CHECKS = {
    "identity": identity.check,
    "contents": contents.check,
    "traces": traces.check,
    "permissions": permissions.check,
}
_WATCHED = {"identity": identity.is_watched, "contents": contents.is_watched, "traces": traces.is_watched}
_PAGE = 4096
_INODE = 256
# Says which files are packages': when it changes, nothing is taken as known.
_DATABASE = "/var/lib/dpkg/"


class Known(NamedTuple):
    """The lower layer's disk: its file, its blocks' digests and those of the disk made of it, what is on it,
    and for each check the paths in doubt.
    """

    disk: Path
    blocks: Sequence[Optional[str]]
    changed_blocks: Sequence[Optional[str]]
    tree: LayerIndex
    suspects: Mapping[str, Sequence[str]]


def suspects(
    disk: Path, index: LayerIndex, entries: Sequence[Entry], words: Sequence[str]
) -> Dict[str, List[str]]:
    """Return for each check the paths on a disk with the lower layer ``index`` alone that
    are not clean whatever a recipe adds.

    All else is: a package's unchanged file, or one in which the check finds nothing. ``entries`` are those of
    the index. ``words`` are those that no file may hold.
    """
    with read_ext4(disk) as reader:
        reader.use_paths(index.numbers)
        view = View(reader, Declared(), words, index, entries=Tree(entries), is_lower=True)
        found = {name: {finding.path for finding in check(view)} for name, check in _CHECKS.items()}
        caches = tuple(f"{cache}/" for cache in traces.CACHES)
        for path, entry in view.entries.items():
            # Any directory can become a home.
            if path.startswith(caches) or any(f"/{cache}/" in path for cache in traces.HOME_CACHES):
                found["traces"].add(path)
            if entry.kind is Kind.SYMLINK:
                # What it leads to can be the recipe's.
                for name, is_watched in _WATCHED.items():
                    if is_watched(path):
                        found[name].add(path)
            if permissions.power(entry):
                found["permissions"].add(path)
        return {name: sorted(path for path in paths if path in view.entries) for name, paths in found.items()}


def changed_view(
    reader: Ext4Reader, declared: Declared, words: Sequence[str], known: Known
) -> Optional[View]:
    """Return the view of a changed disk in which only what changed is in doubt; None when all of it is."""
    numbers = known.tree.numbers
    with read_ext4(known.disk) as before:
        found = _LowerChanges(reader, before, known)
        found.look()
    patch, moved = found.patch, found.moved
    if any(path.startswith(_DATABASE) for path in patch):
        return None
    entries = Patched(known.tree, patch)
    live = {
        path: number for path, number in {**numbers, **moved}.items() if patch.get(path, True) is not None
    }
    reader.use_paths(live)
    fresh = {path for path, entry in patch.items() if entry is not None}
    doubtful = {
        name: fresh | {path for path in paths if path in entries} for name, paths in known.suspects.items()
    }
    return View(reader, declared, words, known.tree, entries=entries, doubtful=doubtful)


class _LowerChanges:
    """What differs on the disk of ``reader`` from the lower layer's, which ``before`` reads.

    ``patch`` has the entries that changed, None for what is no more; ``moved`` the inodes of those that are
    new or other ones.
    """

    def __init__(self, reader: Ext4Reader, before: Ext4Reader, known: Known) -> None:
        self._reader, self._before, self._known = reader, before, known
        self.patch: Dict[str, Optional[Entry]] = {}
        self.moved: Dict[str, int] = {}

    def look(self) -> None:
        """Read both disks where they differ."""
        reader = self._reader
        names: Dict[int, List[str]] = {}
        for path, number in self._known.tree.numbers.items():
            names.setdefault(number, []).append(path)
        changed = _changed_inodes(reader, self._before, self._known)
        for number in sorted(number for number in changed if number in names):
            if not _is_used(reader, number):
                continue  # its names are gone from their directories, which changed
            for path in names[number]:
                self.patch.setdefault(path, reader.entry(path, number))
            if _is_directory(reader, number):
                self._compare(names[number][0], number)

    def _compare(self, path: str, number: int) -> None:
        """Enter what came into a directory and what went."""
        prefix = path.rstrip("/")
        old = {name: inode for name, inode, _ in self._before.children(number)}
        new = {name: inode for name, inode, _ in self._reader.children(number)}
        for name in old:
            if new.get(name) != old[name]:
                gone = f"{prefix}/{decode(name)}"
                for below in (gone, *self._known.tree.below(gone)):
                    self.patch[below] = None
        for name, inode in new.items():
            if old.get(name) != inode:
                for place, one, entry in _walk(self._reader, f"{prefix}/{decode(name)}", inode):
                    self.patch[place], self.moved[place] = entry, one


def _walk(reader: Ext4Reader, path: str, number: int) -> Iterator[Tuple[str, int, Entry]]:
    entry = reader.entry(path, number)
    yield path, number, entry
    if entry.kind is Kind.DIRECTORY:
        for name, inode, _ in reader.children(number):
            yield from _walk(reader, f"{path}/{decode(name)}", inode)


def _is_used(reader: Ext4Reader, number: int) -> bool:
    return any(reader.raw_inode(number)[:2])


def _is_directory(reader: Ext4Reader, number: int) -> bool:
    mode: int = struct.unpack_from("<H", reader.raw_inode(number))[0]
    return mode & 0o170000 == 0o040000


def _changed_inodes(reader: Ext4Reader, before: Ext4Reader, known: Known) -> Set[int]:
    """Return the numbers of the inodes whose bytes differ on the two disks."""
    pairs = zip(known.blocks, known.changed_blocks)  # noqa: B905 - Python 3.9
    differing = {number for number, (before, after) in enumerate(pairs) if before != after}
    found = set()
    for first, start, length in reader.inode_tables():
        for block in range(start // BLOCK_SIZE, (start + length - 1) // BLOCK_SIZE + 1):
            if block not in differing:
                continue
            at = max(start, block * BLOCK_SIZE)
            size = min(start + length, (block + 1) * BLOCK_SIZE) - at
            for offset in _differences(before.at(at, size), reader.at(at, size)):
                found.add(first + (at + offset - start) // _INODE)
    return found


def _differences(one: bytes, other: bytes) -> Iterator[int]:
    """Yield the offsets of the inodes that differ."""
    for page in range(0, len(one), _PAGE):
        if one[page : page + _PAGE] != other[page : page + _PAGE]:
            for at in range(page, page + _PAGE, _INODE):
                if one[at : at + _INODE] != other[at : at + _INODE]:
                    yield at
