"""Making a lower layer: packages unpacked, configured and sealed, and what is in them."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Iterable, List, Mapping, Tuple

from ingot.bake import configure, database, drop
from ingot.bake.chroot import Chroot
from ingot.bake.deb import Control, Package, extract, read_control
from ingot.bake.fetch import check_packages, package_file
from ingot.bake.index import Index
from ingot.bake.inventory import BASELINE, base_baseline
from ingot.bake.locales import make_locale
from ingot.bake.machine import install_machine
from ingot.bake.seal import seal
from ingot.bake.tree import hash_files, scan

Progress = Callable[[str], None]
# Debian's and Ubuntu's merged /usr, as debootstrap makes it before the first package.
MERGED: Mapping[str, Tuple[str, ...]] = {
    "x86_64": ("bin", "sbin", "lib", "lib64"),
    "arm64": ("bin", "sbin", "lib"),
}


def install(plan: Mapping[str, Any], packages: Path, layer: Path, progress: Progress) -> None:
    """Make the lower layer of ``plan`` in the directory ``layer``: tree, tools, index. Raises BakeError."""
    root, epoch = layer / "root", int(plan["epoch"])
    _make_skeleton(root, plan["architecture"])
    check_packages(plan["packages"], packages, progress)
    progress(f"unpacking {len(plan['packages'])} packages")
    _unpack_tools(_packages(plan, packages, "tool"), layer / "tools")
    chosen, by_dpkg = _unpack(_packages(plan, packages, "install"), root, drop.patterns(plan["drop"]))
    chroot = Chroot(root, epoch=epoch)
    chroot.mount()
    try:
        progress("configuring the packages")
        configure.drop_options(root, drop.patterns(plan["drop"]))
        configure.run_preinsts(chroot, chosen)
        configure.unpack_by_dpkg(chroot, by_dpkg)
        configure.configure_all(chroot)
        make_locale(chroot, layer / "tools", plan)
        install_machine(chroot, epoch=epoch)
    finally:
        chroot.unmount()
    seal(root, epoch=epoch)
    progress("taking the inventory of the packages")
    entries = hash_files(scan(root))
    baseline = root / BASELINE[1:] / "base"
    baseline.write_bytes(base_baseline([entry._replace(mtime=epoch) for entry in entries]))
    baseline.chmod(0o644)
    known = {entry.path: entry for entry in entries}
    Index.of(hash_files([known.get(e.path, e) for e in scan(root)]), root, epoch).save(layer / "index")


def _make_skeleton(root: Path, architecture: str) -> None:
    """Make the directories that must be there before the first package: the merged /usr and an empty database."""
    root.mkdir(parents=True)
    root.chmod(0o755)
    for name in MERGED[architecture]:
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for path in (root / "usr", *(root / "usr").iterdir()):
        path.chmod(0o755)
    database.create_database(root)


def _packages(plan: Mapping[str, Any], directory: Path, role: str) -> List[Package]:
    return [
        Package(
            p["name"],
            p["version"],
            p["architecture"],
            package_file(directory, p["sha256"]),
            bool(p["essential"]),
        )
        for p in plan["packages"]
        if p["role"] == role
    ]


def _unpack_tools(packages: Iterable[Package], directory: Path) -> None:
    directory.mkdir()
    for package in packages:
        extract(package, directory)


def _unpack(
    packages: List[Package], root: Path, dropped: List[str]
) -> Tuple[List[Tuple[Package, Control]], List[Package]]:
    """Unpack all packages, as many at a time as there are processors, and enter them in dpkg's database.

    Returns them with their controls, and apart those that dpkg itself must unpack.
    """
    # The largest first, so that no processor is left with it alone at the end.
    ordered = sorted(packages, key=lambda package: (-package.file.stat().st_size, package.name))
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        controls = dict(zip((p.name for p in ordered), pool.map(read_control, ordered)))  # noqa: B905 - not in Python 3.9
        diverting = [package for package in ordered if configure.diverts(controls[package.name])]
        mine = [package for package in ordered if package not in diverting]
        paths = dict(zip((p.name for p in mine), pool.map(lambda package: extract(package, root), mine)))  # noqa: B905
    for package in sorted(diverting, key=lambda package: package.name):
        if not configure.is_contested(root, package):
            paths[package.name] = extract(package, root)
            mine.append(package)
    database.settle(root, {package.name: package for package in mine}, controls, paths)
    kept = {name: drop.drop_files(root, found, dropped) for name, found in paths.items()}
    database.record(root, [(package, controls[package.name], kept[package.name]) for package in mine])
    by_dpkg = [package for package in ordered if package not in mine]
    return [(package, controls[package.name]) for package in mine], sorted(by_dpkg, key=lambda p: p.name)
