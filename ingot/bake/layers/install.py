"""Making a lower layer: packages unpacked, configured and sealed, and what is in them."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterable, List, Mapping, Optional, Set, Tuple

from ingot.bake.image.machine import install_machine
from ingot.bake.image.seal import seal, seal_identities
from ingot.bake.layers.layer import LowerLayer
from ingot.bake.layers.trees import AnyTree, FirstTree, GrownTree, record_tree
from ingot.bake.packages import configure, database, drop
from ingot.bake.packages.cache import package_file
from ingot.bake.packages.deb import Control, Package, extract, read_control
from ingot.bake.packages.locales import make_locale
from ingot.bake.runtime.chroot import Chroot, in_root
from ingot.bake.tree.tree import Entry, Kind
from ingot.deb822 import parse_paragraphs
from ingot.progress import Progress
from ingot.spec import BakeSpec


class _ContestedError(Exception):
    """Packages hold files that the layer below has, too: dpkg knows whose they become."""

    def __init__(self, names: Set[str]) -> None:
        super().__init__(names)
        self.names = names


def read_controls(spec: BakeSpec, packages: Path) -> Dict[str, Control]:
    """Return the control part of each package of ``spec`` that is installed, by name. Raises BakeError."""
    chosen = _packages(spec, packages, "install")
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return dict(zip((p.name for p in chosen), pool.map(read_control, chosen)))  # noqa: B905 - not in Python 3.9


@dataclass(frozen=True)
class Installation:
    """The making of the lower layer of ``spec`` in ``directory``.

    ``below`` is the layer that it stands on, which has some of the packages; None when it stands on nothing.
    ``controls``: those of :func:`read_controls`, for at least the packages of ``spec``; ``packages`` is the
    directory of package files.
    """

    spec: BakeSpec
    below: Optional[LowerLayer]
    controls: Mapping[str, Control]
    packages: Path
    directory: Path
    progress: Progress

    def run(self) -> None:
        """Make tree, tools and index. Raises BakeError."""
        spec, below, directory = self.spec, self.below, self.directory
        directory.mkdir(parents=True)
        _unpack_tools(_packages(spec, self.packages, "tool"), directory / "tools")
        present = set() if below is None else installed(below)
        new = [p for p in _packages(spec, self.packages, "install") if p.name not in present]
        self.progress(f"unpacking {len(new)} packages" if len(new) != 1 else "unpacking 1 package")
        target: AnyTree = FirstTree(directory, spec.architecture)
        if below is not None:
            target = GrownTree(directory, below, packages=True)
        with closing(target) as tree:
            self._install(tree, new)
            self.progress("taking the inventory of the packages")
            record_tree(tree, directory, spec.epoch)

    def _install(self, tree: AnyTree, new: List[Package]) -> None:
        """Unpack and configure the packages ``new``; seal the tree."""
        epoch, root, dropped = self.spec.epoch, tree.root, drop.patterns(self.spec.drop)
        chosen, by_dpkg = _unpack_on(tree, self.below, new, self.controls, dropped)
        chroot = Chroot(root, epoch=epoch)
        chroot.mount()
        try:
            self.progress("configuring the packages")
            configure.drop_options(root, dropped)
            configure.run_preinsts(chroot, chosen)
            configure.unpack_by_dpkg(chroot, by_dpkg)
            configure.configure_all(chroot)
            if self.below is None:
                make_locale(chroot, self.directory / "tools", self.spec.locale)
            install_machine(chroot, epoch=epoch)
        finally:
            chroot.unmount()
        seal_identities(root)
        seal(root, epoch=epoch)


def _unpack_on(
    tree: AnyTree,
    below: Optional[LowerLayer],
    packages: List[Package],
    controls: Mapping[str, Control],
    dropped: List[str],
) -> Tuple[List[Tuple[Package, Control]], List[Package]]:
    """Unpack ``packages`` on the tree; those that hold files of the layer below are left to dpkg.

    Returns what :func:`_unpack` does.
    """
    tree.mount()
    try:
        return _unpack(packages, controls, tree.root, dropped, below)
    except _ContestedError as error:
        tree.mount()  # from the start: what they held has hidden files of the layer below
        mine = [package for package in packages if package.name not in error.names]
        theirs = [package for package in packages if package.name in error.names]
        chosen, by_dpkg = _unpack(mine, controls, tree.root, dropped, below)
        return chosen, sorted([*by_dpkg, *theirs], key=lambda package: package.name)


def installed(below: LowerLayer) -> Set[str]:
    """Return the names of the packages that a layer has."""
    file = in_root(below.root, f"/{database.ADMIN}/status", follow=True)
    status = file.read_text(encoding="utf-8", errors="surrogateescape")
    return {paragraph["package"] for paragraph in parse_paragraphs(status, only=("Package",))}


def _packages(spec: BakeSpec, directory: Path, role: str) -> List[Package]:
    return [
        Package(
            p.name,
            p.version,
            p.architecture,
            package_file(directory, p.sha256),
            p.essential,
            spec.root_volume_size,
        )
        for p in spec.packages
        if p.role == role
    ]


def _unpack_tools(packages: Iterable[Package], directory: Path) -> None:
    directory.mkdir()
    for package in packages:
        extract(package, directory)


def _unpack(
    packages: List[Package],
    controls: Mapping[str, Control],
    root: Path,
    dropped: List[str],
    below: Optional[LowerLayer],
) -> Tuple[List[Tuple[Package, Control]], List[Package]]:
    """Unpack all packages, as many at a time as there are processors, and enter them in dpkg's database.

    Returns them with their controls, and apart those that dpkg itself must unpack. Raises _ContestedError.
    """
    # The largest first, so that no processor is left with it alone at the end.
    ordered = sorted(packages, key=lambda package: (-package.file.stat().st_size, package.name))
    diverting = [package for package in ordered if configure.diverts(controls[package.name])]
    mine = [package for package in ordered if package not in diverting]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        paths = dict(zip((p.name for p in mine), pool.map(lambda package: extract(package, root), mine)))  # noqa: B905
    for package in sorted(diverting, key=lambda package: package.name):
        if not configure.is_contested(root, package):
            paths[package.name] = extract(package, root)
            mine.append(package)
    if below is not None and (names := contested(below, paths)):
        raise _ContestedError(names)
    database.settle(root, {package.name: package for package in mine}, controls, paths)
    kept = {name: drop.drop_files(root, found, dropped) for name, found in paths.items()}
    database.record(root, [(package, controls[package.name], kept[package.name]) for package in mine])
    by_dpkg = [package for package in ordered if package not in mine]
    return [(package, controls[package.name]) for package in mine], sorted(by_dpkg, key=lambda p: p.name)


def contested(below: LowerLayer, paths: Mapping[str, List[str]]) -> Set[str]:
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
