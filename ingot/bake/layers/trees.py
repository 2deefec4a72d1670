"""The trees that packages are installed in: an empty one, or one that stands on an existing layer."""

from __future__ import annotations

import errno
import os
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Callable, Dict, FrozenSet, List, Mapping, Optional, Tuple, Union

from ingot.bake.disk.index import LayerIndex
from ingot.bake.layers.layer import LowerLayer
from ingot.bake.layers.overlay import Overlay, make_bare
from ingot.bake.packages import database
from ingot.bake.runtime.chroot import in_root, inside
from ingot.bake.tree.inventory import files_text
from ingot.bake.tree.tree import (
    Changes,
    Entry,
    Kind,
    changes,
    decode,
    encode,
    entry_at,
    hash_files,
    is_kept,
    scan,
    sort_entries,
)
from ingot.bake.tree.volatile import BASELINE, CLOUD_INIT, volatile_of
from ingot.process import run

# Debian's and Ubuntu's merged /usr, as debootstrap makes it before the first package.
MERGED: Mapping[str, Tuple[str, ...]] = {
    "x86_64": ("bin", "sbin", "lib", "lib64"),
    "arm64": ("bin", "sbin", "lib"),
}
# overlayfs' own marks on what it copied: "trusted.overlay.", in a user namespace "user.overlay.".
_MARK = ".overlay."


class FirstTree:
    """The tree of a layer that stands on nothing. ``root`` is where programs run."""

    def __init__(self, layer: Path, architecture: str) -> None:
        self.root = layer / "root"
        self.below: Optional[LayerIndex] = None
        self._found: List[Entry] = []
        self._architecture = architecture

    def mount(self) -> None:
        """Begin, or begin again."""
        if self.root.exists():
            shutil.rmtree(self.root)
        _make_skeleton(self.root, self._architecture)

    def entries(self) -> List[Entry]:
        """Return what is in the tree; files have digests."""
        self._found = hash_files(scan(self.root))
        return self._found

    def entries_with(self, path: str) -> List[Entry]:
        """Return what :meth:`entries` has found, with the file at ``path`` as it is now: nothing else is read
        again.
        """
        return _with(self._found, self.root, path)

    def added(self) -> FrozenSet[str]:
        """Return the paths that no package brought: none."""
        return frozenset()

    def finish(self) -> None:
        """Leave the tree as the layer's ``root``."""

    def close(self) -> None:
        """Unmount and remove what was needed on the way."""


class GrownTree:
    """The tree of a layer that stands on ``below``: an overlay while something is installed, in the end a
    tree of its own that shares files. ``packages``: what is installed are packages.

    Its files are hard links of those below it. Nobody writes into the trees of layers, so neither notices.
    """

    def __init__(self, layer: Path, below: LowerLayer, *, packages: bool) -> None:
        self._below = below
        self._packages = packages
        self._target = layer / "root"
        self._work = layer / "work"
        self._overlay = Overlay(below.root, self._work)
        self._upper: List[Entry] = []
        self._changes: Optional[Changes] = None
        self._pool = ThreadPoolExecutor(2)
        # While packages are unpacked, there is time for it.
        self._linked: "Future[None]" = self._pool.submit(link_tree, below.root, self._target)
        self._pool.submit(lambda: below.index)  # which keeps its value

    def mount(self) -> None:
        """Begin, or begin again: as if nothing had been installed on what is below."""
        if self._work.exists():
            self._overlay.unmount()
            shutil.rmtree(self._work)
        self._work.mkdir()
        self._overlay.mount()

    @property
    def root(self) -> Path:
        """Where programs run."""
        return self._overlay.root

    @property
    def below(self) -> Optional[LayerIndex]:
        """What is in the layer below."""
        return self._below.index

    def entries(self) -> List[Entry]:
        """Return what is in the tree; files have digests."""
        self._upper = hash_files(scan(self._overlay.upper))
        return self._laid_over()

    def entries_with(self, path: str) -> List[Entry]:
        """Return what :meth:`entries` has found, with the file at ``path`` as it is now: nothing else is read
        again.
        """
        self._upper = _with(self._upper, self._overlay.upper, path)
        return self._laid_over()

    def _laid_over(self) -> List[Entry]:
        """Return what is below with what is above on it."""
        index = self._below.index
        upper = [entry._replace(mtime=self._below.epoch) for entry in self._upper]
        self._changes = found = changes(index, upper)
        other = {entry.path for entry in found.entries}.union(found.gone)
        kept = [index[path] for path in index if path not in other]
        return sort_entries([*_regrouped(kept), *found.entries])

    def added(self) -> FrozenSet[str]:
        """Return the paths that no package brought, as they were found last."""
        if self._packages or self._changes is None:
            return frozenset()
        here = {entry.path for entry in self._changes.entries}
        return (self._below.index.added | here).difference(self._changes.gone)

    def finish(self) -> None:
        """Make the layer's ``root`` of what is below and of what was changed, as it was found last."""
        self._overlay.unmount_root()
        self._linked.result()
        found = self._changes or Changes([], [])
        for path in reversed(found.gone):
            _remove(Path(f"{self._target}{path}"))
        for entry in found.entries:
            self._put(entry)

    def _put(self, entry: Entry) -> None:
        source, target = f"{self._overlay.upper}{entry.path}", f"{self._target}{entry.path}"
        name = encode(target)
        if entry.kind is not Kind.DIRECTORY:
            _move(encode(source), name)
            _remove_attributes(name, lambda attribute: _MARK in attribute)
            return
        place = Path(target)
        place.mkdir(exist_ok=True)
        _remove_attributes(name, is_kept)
        os.chown(name, entry.uid, entry.gid)
        place.chmod(entry.mode)
        for attribute, value in entry.xattrs:
            os.setxattr(name, attribute, value)

    def close(self) -> None:
        """Unmount and remove what was needed on the way."""
        self._pool.shutdown(wait=True)
        self._overlay.unmount()
        shutil.rmtree(self._work, ignore_errors=True)


def _with(entries: List[Entry], root: Path, path: str) -> List[Entry]:
    """Return ``entries`` of the tree below ``root`` with what is at ``path`` now, and the directories to it
    that are not among them.
    """
    known = {entry.path: entry for entry in entries if entry.path != path}
    while path not in known:
        known[path] = entry_at(root, path)
        path = path.rpartition("/")[0] or "/"
    return hash_files(sort_entries(known.values()))


def link_tree(source: Path, target: Path) -> None:
    """Make ``target`` a tree of its own that shares the files of ``source``."""
    run(["cp", "--archive", "--link", "--no-target-directory", source, target])


def _regrouped(entries: List[Entry]) -> List[Entry]:
    """Return ``entries`` of a tree of which some are gone, each hard-link group named by
    the first of those that stay.
    """
    members: Dict[str, List[str]] = {}
    for entry in entries:
        if entry.group is not None:
            members.setdefault(entry.group, []).append(entry.path)
    first = {group: min(paths, key=encode) if len(paths) > 1 else None for group, paths in members.items()}
    return [entry if entry.group is None else entry._replace(group=first[entry.group]) for entry in entries]


def _move(source: bytes, target: bytes) -> None:
    try:
        os.rename(source, target)  # noqa: PTH104 - bytes: names may be no UTF-8
    except OSError as error:
        if error.errno != errno.EXDEV:  # the changes are in memory (Overlay.mount)
            raise
        run(["cp", "--archive", "--no-target-directory", decode(source), decode(target)])


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink()


def _remove_attributes(name: bytes, wanted: Callable[[str], bool]) -> None:
    for attribute in os.listxattr(name, follow_symlinks=False):
        if wanted(attribute):
            os.removexattr(name, attribute, follow_symlinks=False)


AnyTree = Union[FirstTree, GrownTree]


def record_tree(tree: AnyTree, layer: Path, epoch: int) -> None:
    """Put the list of what is in a tree into it, write the layer's index, and finish the tree."""
    baseline = in_root(tree.root, f"{BASELINE}/base")
    entries = tree.entries()
    has_cloud_init = any(entry.path == CLOUD_INIT for entry in entries)
    text = files_text(entries, volatile_of(has_cloud_init=has_cloud_init))
    baseline.parent.mkdir(parents=True, exist_ok=True)  # a stage has nothing of Ingot's
    baseline.unlink(missing_ok=True)
    baseline.write_bytes(text)
    baseline.chmod(0o644)
    entries = tree.entries_with(inside(tree.root, baseline))
    added = tree.added() - {f"{BASELINE}/base"}
    LayerIndex.of(entries, layer / "root", epoch, added, tree.below).save(layer / "index")
    tree.finish()


def _make_skeleton(root: Path, architecture: str) -> None:
    """Make the directories that must be there before the first package: the merged /usr
    and an empty database.
    """
    root.mkdir(parents=True)
    make_bare(root)
    for name in MERGED[architecture]:
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for path in (root / "usr", *(root / "usr").iterdir()):
        path.chmod(0o755)
    database.create_database(root)
