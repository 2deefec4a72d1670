"""What a lower layer's tree holds, ready for use: entries by path, inode numbers, and the lines that
manifests and inventories have of them.

Kept in one file beside the tree. An entry is made of its row when it is asked for: a bake that changes one
file asks for few.
"""

from __future__ import annotations

import pickle
from functools import cached_property
from pathlib import Path
from typing import AbstractSet, Any, Dict, FrozenSet, Iterable, Iterator, List, Optional, Tuple

from ingot.bake.disk.ext4.node import number_inodes, whole_tree
from ingot.bake.tree import inventory, manifest
from ingot.bake.tree.tree import Changes, Entry, Kind, Tree, below, encode, sort_entries
from ingot.bake.tree.volatile import CLOUD_INIT, Volatile, volatile_of

# What manifests say of them, in place of the layer.
ADDED = 2
_KINDS = {kind.value: kind for kind in Kind}
_NUMBER, _LINE, _TEXT, _ADDED = 10, 11, 12, 13


class LayerIndex(Tree):
    """The entries of a lower layer, by path.

    All times are ``epoch``, contents are below the directory ``root``.
    """

    def __init__(self, rows: Dict[str, Tuple[Any, ...]], root: Path, epoch: int) -> None:
        self._rows = rows
        self._top = str(root)
        self._epoch = epoch
        self._keys = [encode(path) for path in rows]

    @classmethod
    def load(cls, file: Path, root: Path, epoch: int) -> "LayerIndex":
        """Read what :meth:`save` wrote. The store is trusted as the engine's own code is."""
        return cls(pickle.loads(file.read_bytes()), root, epoch)  # noqa: S301 - see above

    @classmethod
    def of(
        cls,
        entries: Iterable[Entry],
        root: Path,
        epoch: int,
        added: AbstractSet[str] = frozenset(),
        below: "Optional[LayerIndex]" = None,
    ) -> "LayerIndex":
        """Return the index of ``entries``, which have their digests; ``added``: what no package brought.

        ``below`` is the index of another tree: the lines of what is the same there are taken from it.
        """
        ordered = sort_entries(entries)
        numbers, _ = number_inodes(whole_tree(ordered, epoch))
        volatile = volatile_of(has_cloud_init=any(entry.path == CLOUD_INIT for entry in ordered))
        known = {} if below is None or below.volatile != volatile else below._rows
        rows = {}
        for entry in ordered:
            path, is_added = entry.path, entry.path in added
            content = (
                entry.kind.value,
                entry.mode,
                entry.uid,
                entry.gid,
                entry.size,
                entry.link,
                entry.group,
                entry.device,
                entry.xattrs,
                entry.sha256,
            )
            same = known.get(path)
            if same is not None and same[:_NUMBER] == content and same[_ADDED] == is_added:
                line, text = same[_LINE], same[_TEXT]
            else:
                line = manifest.file_line(entry, layer=ADDED * is_added)
                text = None if volatile.covers(path) else inventory.file_line(entry)
            rows[path] = (*content, numbers[path], line, text, is_added)
        return cls(rows, root, epoch)

    def save(self, file: Path) -> None:
        """Write the rows: nothing in them depends on this machine."""
        file.write_bytes(pickle.dumps(self._rows, protocol=4))

    def __getitem__(self, path: str) -> Entry:
        kind, mode, uid, gid, size, link, group, device, xattrs, sha256, *_ = self._rows[path]
        source = self._top + path if kind == "file" else None
        return Entry(
            path,
            _KINDS[kind],
            mode,
            uid,
            gid,
            self._epoch,
            size,
            link,
            group,
            device,
            xattrs,
            source,
            None,
            sha256,
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, path: object) -> bool:
        return path in self._rows

    @cached_property
    def numbers(self) -> Dict[str, int]:
        """The inode of each path on the disk of the layer, lost+found included."""
        return {**{path: row[_NUMBER] for path, row in self._rows.items()}, "/lost+found": 11}

    @cached_property
    def added(self) -> FrozenSet[str]:
        """The paths that no package brought: artifacts and what the recipe's dependencies are."""
        return frozenset(path for path, row in self._rows.items() if row[_ADDED])

    @cached_property
    def _lines(self) -> Dict[str, Tuple[str, Optional[bytes]]]:
        return {path: (row[_LINE], row[_TEXT]) for path, row in self._rows.items()}

    def prepare(self) -> None:
        """Do now what a bake will ask for: while programs of the recipe run, there is time."""
        _ = self.numbers, self._lines  # each keeps its value

    @property
    def volatile(self) -> Volatile:
        """What is volatile in the tree of the layer alone."""
        return volatile_of(has_cloud_init=CLOUD_INIT in self)

    def lines(self, changes: Changes, volatile: Volatile) -> Tuple[List[str], bytes]:
        """Return the manifest's lines of all files of the tree that ``changes`` make, and
        the inventory's text of them.

        ``volatile`` is that of the layer with what the recipe says.
        """
        rows = dict(self._lines)
        for top in volatile.paths - self.volatile.paths:
            for path in (top, *self.below(top)):
                if path in rows and volatile.covers(path):
                    rows[path] = (rows[path][0], None)
        for path in volatile.single:
            if path in rows:
                rows[path] = (rows[path][0], inventory.file_line(self[path]))
        for path in changes.gone:
            del rows[path]
        for entry in changes.entries:
            text = None if volatile.covers(entry.path) else inventory.file_line(entry)
            rows[entry.path] = (manifest.file_line(entry, layer=1), text)
        order = sorted(rows, key=encode)
        return [rows[path][0] for path in order], inventory.lines_text(
            text for _, text in rows.values() if text is not None
        )

    def links(self, changes: Changes, directory: str) -> List[Entry]:
        """Return the symbolic links below ``directory`` in the tree that ``changes`` make, sorted."""
        gone = {*changes.gone, *(entry.path for entry in changes.entries)}
        entries = [self[path] for path in self.below(directory) if path not in gone]
        entries += [entry for entry in changes.entries if entry.path.startswith(f"{directory}/")]
        return sort_entries(entry for entry in entries if entry.kind is Kind.SYMLINK)


class Patched(Tree):
    """``lower`` with some entries replaced, added or (None) removed."""

    def __init__(self, lower: Tree, patch: Dict[str, Optional[Entry]]) -> None:
        self._lower = lower
        self._patch = patch
        self._keys = sorted(encode(path) for path, entry in patch.items() if entry is not None)

    def __getitem__(self, path: str) -> Entry:
        entry = self._patch[path] if path in self._patch else self._lower[path]
        if entry is None:
            raise KeyError(path)
        return entry

    def __iter__(self) -> Iterator[str]:
        kept = [path for path in self._lower if path not in self._patch]
        return iter(sorted([*kept, *(path for path, entry in self._patch.items() if entry)], key=encode))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, path: object) -> bool:
        return self._patch[str(path)] is not None if path in self._patch else path in self._lower

    def below(self, path: str) -> List[str]:
        """Return the paths below the directory ``path``, sorted."""
        kept = [name for name in self._lower.below(path) if name not in self._patch]
        return sorted([*kept, *below(self._keys, path)], key=encode)
