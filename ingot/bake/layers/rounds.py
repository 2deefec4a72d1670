"""Installing packages in rounds, in an order that dpkg would take.

What decides the order are the preinst scripts (Debian Policy 6.5, 7.2): when one runs, the packages that its
own pre-depends on are configured, and its own files are not there yet. So:

1. The Essential packages and what they need are unpacked, then their preinst scripts run, then they are
   configured: nothing can run before they are there, and every other package may rely on them.
2. All packages without a preinst are unpacked, and those whose pre-dependencies are configured, each after
   its own script. Where one still waits, its pre-dependencies are configured, and so on.
3. What diverts files of other packages comes last, and what holds a file of a package that is there already
   is left to dpkg itself.
4. Everything is configured.

Within a round packages are unpacked at the same time, as many as there are processors.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Collection, Dict, Iterable, Iterator, List, Mapping, Optional, Set

from ingot.bake.layers.layer import LowerLayer
from ingot.bake.packages import configure, database, drop, order
from ingot.bake.packages.ahead import Ahead
from ingot.bake.packages.deb import Control, LockedDeb, contents, extract
from ingot.bake.runtime.chroot import Chroot, in_root
from ingot.bake.tree.tree import Entry, Kind
from ingot.deb822 import parse_paragraphs
from ingot.progress import Progress
from ingot.spec import AnswerSpec

# What dpkg unpacks there is on a mount that goes.
MOUNTED = ("/dev/", "/run/", "/tmp/")  # noqa: S108 - the image's


class ContestedError(Exception):
    """Packages hold what packages before them have or divert: dpkg knows whose it becomes."""

    def __init__(self, names: Set[str]) -> None:
        super().__init__(names)
        self.names = frozenset(names)


class Rounds:
    """Installs packages in the root of ``chroot``, which stands on ``below`` or on nothing.

    The chroot is mounted while scripts run, by this class. ``controls`` are those of all packages;
    ``dropped``: what is left out (:mod:`ingot.bake.packages.drop`).
    """

    def __init__(
        self,
        chroot: Chroot,
        below: Optional[LowerLayer],
        controls: Mapping[str, Control],
        dropped: List[str],
        progress: Progress,
    ) -> None:
        self._chroot, self._below, self._controls = chroot, below, controls
        self._dropped, self._progress = dropped, progress
        self._root = chroot.root
        dpkg = controls.get("dpkg")
        self._dpkg = dpkg.fields["version"].partition("-")[0] if dpkg else ""
        self._configured: Set[str] = set() if below is None else installed(below)
        self._unpacked: Set[str] = set()  # and not configured yet
        self._holders: Dict[str, str] = {}  # the package that holds a path, of those unpacked here
        self._directories: Set[str] = set()
        self._ahead: Optional[Ahead] = None

    def run(
        self,
        packages: List[LockedDeb],
        by_dpkg: Collection[str],
        ahead: Ahead,
        answers: Iterable[AnswerSpec] = (),
    ) -> None:
        """Unpack and configure ``packages``, those named in ``by_dpkg`` by dpkg itself; ``answers`` are to
        their questions. The Essential packages have asked theirs before debconf can be told.

        ``ahead`` has some of them decompressed, and goes on with others while scripts run.

        Raises BakeError, and ContestedError with the names that must be in ``by_dpkg``: then begin again.
        """
        self._ahead = ahead
        new = {package.name: package for package in packages}
        needed = order.needs(new, self._controls)
        left = [new[name] for name in sorted(by_dpkg)]
        essential = order.closure((p.name for p in packages if p.essential), needed) - set(by_dpkg)
        if essential:
            left += self._bootstrap([new[name] for name in order.needed_first(essential, needed)])
        with self._mounted():
            configure.answer_questions(self._chroot, [a for a in answers if a.package in new])
        rest = [new[name] for name in sorted(new.keys() - essential - set(by_dpkg))]
        diverting = [package for package in rest if configure.diverts(self._controls[package.name])]
        self._unpack_rest([package for package in rest if package not in diverting], needed)
        for package in diverting:
            if configure.is_contested(self._root, package):
                left.append(package)
            else:
                self._unpack_rest([package], needed)
        self._progress("configuring the packages")
        if left:
            wanted = self._pre_depends([package.name for package in left])
            self._configure(set().union(*wanted.values()), needed)
        ahead.begin()
        with self._mounted():
            configure.unpack_by_dpkg(self._chroot, sorted(left, key=lambda package: package.name))
            configure.configure_all(self._chroot)
        for package in left:
            hidden = [path for path in contents(package) if path.startswith(MOUNTED)]
            if hidden:
                extract(package, self._root, hidden)

    @contextmanager
    def _mounted(self) -> Iterator[None]:
        """Mount /dev, /run and /tmp for scripts alone: what packages have there belongs into the tree."""
        self._chroot.mount()
        try:
            yield
        finally:
            self._chroot.unmount()

    def _bootstrap(self, packages: List[LockedDeb]) -> List[LockedDeb]:
        """Unpack and configure the Essential packages and what they need; return what is left to dpkg."""
        diverting = [package for package in packages if configure.diverts(self._controls[package.name])]
        paths = self._extract([package for package in packages if package not in diverting])
        left = []
        for package in diverting:
            # Most diversions guard names that nothing has, such as those of the time before the merged /usr.
            if configure.is_contested(self._root, package):
                left.append(package)
            else:
                paths[package.name] = self._extract_one(package)
        mine = [package for package in packages if package not in left]
        self._record(mine, paths)
        self._run_preinsts(mine)
        self._progress("configuring the base")
        self._configure_now(self._unpacked)
        return left

    def _unpack_rest(self, packages: List[LockedDeb], needed: Mapping[str, Set[str]]) -> None:
        """Unpack packages, each with a preinst after its script, and that after its pre-dependencies."""
        waiting = {package.name: package for package in packages}
        pre_depends = self._pre_depends(waiting)
        while waiting:
            ready = [p for name, p in waiting.items() if not pre_depends[name] - self._configured]
            if not ready and not self._configure(set().union(*pre_depends.values()), needed):
                ready = list(waiting.values())  # they pre-depend on each other
            self._run_preinsts(ready)
            for package in ready:
                del waiting[package.name], pre_depends[package.name]
            self._record(ready, self._extract(ready))

    def _pre_depends(self, names: Collection[str]) -> Dict[str, Set[str]]:
        """Return what each preinst waits for: packages that are still to be configured, by name."""
        known = {*self._unpacked, *names}
        needed = order.needs(known, self._controls, ("pre-depends",))
        return {name: needed[name] if "preinst" in self._controls[name].members else set() for name in names}

    def _configure(self, names: Set[str], needed: Mapping[str, Set[str]]) -> bool:
        """Configure those of ``names`` of which all needs are unpacked; say whether there were any."""
        groups = [order.closure([name], needed) - self._configured for name in names - self._configured]
        whole = [group for group in groups if group <= self._unpacked]
        # Where they need each other in a circle, dpkg finds a place to begin.
        chosen = set().union(*whole) if whole else set().union(*groups) & self._unpacked
        self._configure_now(chosen)
        return bool(chosen)

    def _run_preinsts(self, packages: Iterable[LockedDeb]) -> None:
        with self._mounted():
            for package in packages:
                configure.run_preinst(self._chroot, package, self._controls[package.name], self._dpkg)

    def _configure_now(self, names: Collection[str]) -> None:
        if self._ahead is not None:
            self._ahead.begin()
        with self._mounted():
            configure.configure(self._chroot, names)
        self._configured.update(names)
        self._unpacked.difference_update(self._configured)

    def _extract(self, packages: List[LockedDeb]) -> Dict[str, List[str]]:
        """Extract packages at the same time; return the paths of each, by name."""
        # The largest first, so that no processor is left with it alone at the end.
        ordered = sorted(packages, key=lambda package: (-package.file.stat().st_size, package.name))
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            found = pool.map(self._extract_one, ordered)
            return dict(zip((package.name for package in ordered), found))  # noqa: B905 - not in Python 3.9

    def _extract_one(self, package: LockedDeb) -> List[str]:
        tar = None if self._ahead is None else self._ahead.take(package.name)
        if tar is None:
            return extract(package, self._root)
        with tar:
            return extract(package, self._root, tar=tar)

    def _record(self, packages: List[LockedDeb], paths: Dict[str, List[str]]) -> None:
        """Enter extracted packages in dpkg's database. Raises ContestedError."""
        if names := self._contested(paths):
            raise ContestedError(names)
        database.settle(self._root, {package.name: package for package in packages}, self._controls, paths)
        kept = {name: drop.drop_files(self._root, found, self._dropped) for name, found in paths.items()}
        database.record(
            self._root, [(package, self._controls[package.name], kept[package.name]) for package in packages]
        )
        for name, held in paths.items():
            self._holders.update(dict.fromkeys(held, name))
        self._unpacked.update(paths)

    def _contested(self, paths: Mapping[str, List[str]]) -> Set[str]:
        """Return the names of the packages of which ``paths`` hold something that is there or diverted."""
        diverted = database.diverted(self._root)
        found = set() if self._below is None else contested(self._below, paths)
        for name, held in paths.items():
            for path in held:
                if diverted.get(path, name) != name or (
                    path in self._holders and not self._is_directory(path)
                ):
                    found.add(name)
                    break
        return found

    def _is_directory(self, path: str) -> bool:
        if path not in self._directories and in_root(self._root, path, follow=True).is_dir():
            self._directories.add(path)
        return path in self._directories


def installed(below: LowerLayer) -> Set[str]:
    """Return the names of the packages that a layer has."""
    file = in_root(below.root, f"/{database.ADMIN}/status", follow=True)
    status = file.read_text(encoding="utf-8", errors="surrogateescape")
    return {paragraph["package"] for paragraph in parse_paragraphs(status, only=("Package",))}


def contested(below: LowerLayer, paths: Mapping[str, Iterable[str]]) -> Set[str]:
    """Return the names of the packages of which ``paths`` hold something that the layer below has.

    What a package there diverts counts as well.
    """
    diverted = database.diverted(below.root)
    parents: Dict[str, str] = {}
    found = set()
    for name, held in paths.items():
        for path in held:
            parent, _, last = path.rpartition("/")
            if parent not in parents:
                parents[parent] = str(in_root(below.root, f"{parent}/x"))[len(str(below.root)) : -len("/x")]
            entry = below.index.get(f"{parents[parent]}/{last}")
            if path in diverted or (entry is not None and not _is_directory(below, entry)):
                found.add(name)
                break
    return found


def _is_directory(below: LowerLayer, entry: Entry) -> bool:
    """Tell whether an entry is a directory, or a link to one: both are followed, as by dpkg."""
    if entry.kind is not Kind.SYMLINK:
        return entry.kind is Kind.DIRECTORY
    place = str(in_root(below.root, f"{entry.path}/x"))[len(str(below.root)) : -len("/x")]
    target = below.index.get(place or "/")
    return target is not None and target.kind is Kind.DIRECTORY
