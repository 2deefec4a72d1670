"""Making a lower layer: packages unpacked, configured and sealed, and what is in them."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, FrozenSet, Iterable, List, Mapping, Optional

from ingot.bake.image.machine import install_machine
from ingot.bake.image.seal import seal, seal_identities
from ingot.bake.layers.layer import LowerLayer
from ingot.bake.layers.rounds import ContestedError, Rounds, installed
from ingot.bake.layers.trees import AnyTree, FirstTree, GrownTree, link_tree, record_tree
from ingot.bake.packages import configure, drop
from ingot.bake.packages.ahead import Ahead
from ingot.bake.packages.cache import package_file
from ingot.bake.packages.deb import Control, LockedDeb, extract, read_control
from ingot.bake.packages.locales import make_locale
from ingot.bake.runtime.chroot import Chroot
from ingot.bake.runtime.kernel import kernel_release
from ingot.progress import Progress
from ingot.spec import BakeSpec


def read_controls(spec: BakeSpec, packages: Path) -> Dict[str, Control]:
    """Return the control part of each package of ``spec`` that is installed, by name. Raises BakeError."""
    chosen = _packages(spec, packages, "install")
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        read = zip(chosen, pool.map(read_control, chosen))  # noqa: B905 - not in Python 3.9
        return {package.name: control for package, control in read}


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
    ahead: Ahead

    def run(self) -> None:
        """Make tree, tools and index. Raises BakeError."""
        spec, below, directory = self.spec, self.below, self.directory
        directory.mkdir(parents=True)
        if below is None:
            _unpack_tools(_packages(spec, self.packages, "tool"), directory / "tools")
        else:  # of the same lock
            link_tree(below.tools, directory / "tools")
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

    def _install(self, tree: AnyTree, new: List[LockedDeb]) -> None:
        """Unpack and configure the packages ``new``; seal the tree."""
        epoch, dropped = self.spec.epoch, drop.patterns(self.spec.drop)
        by_dpkg: FrozenSet[str] = frozenset()
        while True:
            tree.mount()
            chroot = Chroot(tree.root, epoch=epoch, kernel=kernel_release(self.spec))
            configure.drop_options(tree.root, dropped)
            try:
                with configure.services_held(chroot):
                    rounds = Rounds(chroot, self.below, self.controls, dropped, self.progress)
                    rounds.run(new, by_dpkg, self.ahead, self.spec.debconf)
                break
            except ContestedError as error:
                by_dpkg |= error.names  # from the start: they have hidden files of other packages
        chroot.mount()
        try:
            if self.below is None:
                make_locale(chroot, self.directory / "tools", self.spec.locale)
            if self.spec.machine:
                install_machine(chroot, epoch=epoch)
        finally:
            chroot.unmount()
        seal_identities(tree.root)
        seal(tree.root, epoch=epoch)


def packages_to_install(spec: BakeSpec, directory: Path) -> List[LockedDeb]:
    """Return the packages that the image of ``spec`` has; ``directory`` has their files."""
    return _packages(spec, directory, "install")


def _packages(spec: BakeSpec, directory: Path, role: str) -> List[LockedDeb]:
    return [
        LockedDeb(
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


def _unpack_tools(packages: Iterable[LockedDeb], directory: Path) -> None:
    directory.mkdir()
    for package in packages:
        read_control(package)  # it is what the lock says
        extract(package, directory)
