"""The packages of a lock in a content-addressed directory: where each one is, and whether it is sound.

:mod:`ingot.bake.packages.fetch` downloads them. It is a module of its own because a bake that needs no
package must not wait for HTTP and TLS to be imported.
"""

from __future__ import annotations

from pathlib import Path
from typing import Iterable, List

from ingot.errors import BakeError
from ingot.files import sha256_of
from ingot.progress import Progress
from ingot.spec import BakeSpec, DownloadSpec, PackageSpec

# What a layer is made of: the packages of a spec, or what it takes from elsewhere (BakeSpec.downloads).
PACKAGES, DOWNLOADS = "packages", "downloads"
PIECE = 1 << 20


def package_file(directory: Path, sha256: str) -> Path:
    """Return the path of the package with that digest."""
    return directory / sha256[:2] / f"{sha256}.deb"


def download_file(directory: Path, sha256: str) -> Path:
    """Return the path of the file with that digest that is no package."""
    return directory / sha256[:2] / sha256


def unsound_downloads(spec: BakeSpec, directory: Path, progress: Progress) -> List[DownloadSpec]:
    """Return what ``spec`` takes from elsewhere than its archives and ``directory`` does not hold.

    What is damaged is removed from it.
    """
    unsound = []
    for download in spec.downloads():
        file = (package_file if download.is_package else download_file)(directory, download.sha256)
        if file.exists() and sha256_of(file) == download.sha256:
            continue
        if file.exists():
            progress(f"{download.name} is damaged in the store; removed")
            file.unlink(missing_ok=True)
        unsound.append(download)
    return unsound


def check_downloads(spec: BakeSpec, directory: Path, progress: Progress) -> None:
    """Raise BakeError that names the first of them that is missing or damaged."""
    for download in unsound_downloads(spec, directory, progress):
        raise BakeError(
            f"{download.name} is missing in {directory}",
            hint=f"fetch it again; its SHA-256 is {download.sha256}",
        )


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
    if sha256_of(file) == package.sha256:
        return True
    progress(f"package {package.name} {package.version} is damaged in the store; removed")
    file.unlink(missing_ok=True)
    return False
