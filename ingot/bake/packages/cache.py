"""The packages of a lock in a content-addressed directory: where each one is, and whether it is sound.

:mod:`ingot.bake.packages.fetch` downloads them. It is a module of its own because a bake that needs no
package must not wait for HTTP and TLS to be imported.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Iterable, List

from ingot.errors import BakeError
from ingot.progress import Progress
from ingot.spec import PackageSpec

PIECE = 1 << 20
UNFINISHED = ".fetch-"  # what a download is named until it is whole


def package_file(directory: Path, sha256: str) -> Path:
    """Return the path of the package with that digest."""
    return directory / sha256[:2] / f"{sha256}.deb"


def unsound_packages(
    packages: Iterable[PackageSpec], directory: Path, progress: Progress
) -> List[PackageSpec]:
    """Return the ``packages`` that ``directory`` does not hold; damaged ones are removed from it."""
    return [package for package in packages if not _is_sound(package, directory, progress)]


def check_packages(packages: Iterable[PackageSpec], directory: Path, progress: Progress) -> None:
    """Check every package in ``directory``.

    Raises BakeError naming the first one that is missing or damaged.
    """
    for package in packages:
        if not _is_sound(package, directory, progress):
            raise BakeError(
                f"package {package.name} {package.version} is missing in {directory}",
                hint=f"fetch it again; its SHA-256 is {package.sha256}",
            )


def _is_sound(package: PackageSpec, directory: Path, progress: Progress) -> bool:
    file = package_file(directory, package.sha256)
    if not file.exists():
        return False
    if _sha256(file) == package.sha256:
        return True
    progress(f"package {package.name} {package.version} is damaged in the store; removed")
    file.unlink(missing_ok=True)
    return False


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as source:
        for piece in iter(lambda: source.read(PIECE), b""):
            digest.update(piece)
    return digest.hexdigest()
