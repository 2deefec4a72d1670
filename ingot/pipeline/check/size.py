"""Whether a recipe's content fits its root volume, as far as that is known before a bake.

It is known from the lock, the sources, and the packages in the store.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import which

from ingot.bake.packages.cache import package_file
from ingot.bake.packages.deb import LockedDeb, read_control
from ingot.bake.packages.drop import is_dropped, patterns
from ingot.errors import BakeError, Problem
from ingot.process import read_from
from ingot.quantities import written_size
from ingot.recipe.compile import spec_of
from ingot.recipe.lock.file import Lock, LockedPackage
from ingot.recipe.schema.model import Recipe
from ingot.recipe.sources.expander import ImageFile
from ingot.recipe.sources.files import expand_files
from ingot.spec import DropSpec

# Package files unpack to three to five times their size. If this many times their size fits, none is read,
# which keeps the usual check quick.
PLENTY = 12


def size_problem(recipe: Recipe, lock: Lock, packages: Path) -> Problem | None:
    """Return what is wrong with ``root_volume.size``; None when the content fits, or may fit.

    ``packages`` is the store's directory of package files. Of one that is not there yet its own size counts,
    which is less than that of its content. Room for the file system's own tables and for the boot partition
    is not counted: the bake says exactly.
    """
    size = recipe.root_volume.size
    sources = sum(_source_size(recipe, file) for file in expand_files(recipe, []))
    needed = sources + _packages_size(recipe, lock, packages, size - sources)
    if needed <= size:
        return None
    return recipe.problem(
        ("root_volume", "size"),
        f"size {written_size(size)} is too small: packages, files and app need at least "
        f"{written_size(needed)}",
        "",
        "raise root_volume.size in the recipe; clones need room to work, too",
    )


def _source_size(recipe: Recipe, file: ImageFile) -> int:
    """Return the bytes that a file takes here without its holes, which are holes of the disk as well."""
    if file.source is None or not file.size:
        return file.size or 0
    try:
        blocks = (recipe.source_root / file.source).stat().st_blocks
    except OSError:  # it went meanwhile: the bake says so
        return file.size
    return min(file.size, blocks * 512)  # stat(2)


def _packages_size(recipe: Recipe, lock: Lock, packages: Path, room: int) -> int:
    """Return the bytes of the packages' files, measured ever more exactly until they fit ``room``."""
    drop = patterns(spec_of(DropSpec, recipe.drop))
    installed = [
        p for p in lock.packages if p.role == "install" and not (recipe.drop.docs and p.name.endswith("-doc"))
    ]
    least = sum(package.size for package in installed)
    if least * PLENTY <= room:
        return least
    files = {package: package_file(packages, package.sha256) for package in installed}
    readable = which("dpkg-deb") is not None
    here = {package: file for package, file in files.items() if readable and file.is_file()}
    unknown = sum(package.size for package in installed if package not in here)
    stated = unknown + sum(_each(_stated, here))
    if stated <= room:
        return stated
    return unknown + sum(_each(lambda package, file: _exact(package, file, drop), here))


def _each(
    measure: Callable[[LockedPackage, Path], int], files: Mapping[LockedPackage, Path]
) -> Iterable[int]:
    with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
        return list(threads.map(measure, files.keys(), files.values()))


def _stated(package: LockedPackage, file: Path) -> int:
    """Return what a package says of itself (Debian Policy 5.6.20: Installed-Size, in KiB)."""
    try:
        control = read_control(LockedDeb(package.name, package.version, package.architecture, file))
    except BakeError:  # damaged: the bake fetches it again
        return package.size
    return int(control.fields.get("installed-size", 0)) * 1024


def _exact(package: LockedPackage, file: Path, drop: list[str]) -> int:
    """Return the bytes of a package's files without those that the recipe leaves out."""
    with read_from(["dpkg-deb", "--fsys-tarfile", file]) as unpacker:
        try:
            with tarfile.open(fileobj=unpacker.stdout, mode="r|", errors="surrogateescape") as archive:
                files = [member for member in archive if member.isfile()]
        except tarfile.TarError:  # damaged
            return package.size
    return sum(member.size for member in files if not is_dropped(member.name.removeprefix("."), drop))
