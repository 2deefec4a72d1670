"""The locked packages: from the bundle's bucket by their SHA-256 where it has them; the rest is left to the mirror."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Iterable

from ingot.bake.instance.bootstrap import RefusedError, Service
from ingot.bake.packages.cache import package_file
from ingot.bake.packages.fetch import Mirrors, fetch_packages
from ingot.progress import Progress
from ingot.spec import PackageSpec

STREAMS = 8


def get_packages(
    s3: Service,
    bucket: str,
    entries: Iterable[PackageSpec],
    directory: Path,
    mirrors: Mirrors,
    progress: Progress,
) -> None:
    """Bring every package into ``directory`` and check each against its SHA-256. Raises BakeError for one that cannot be had."""
    wanted = list(entries)
    if not wanted:
        return

    def get(package: PackageSpec) -> int:
        try:
            data = s3.call("GET", f"/{bucket}/packages/{package.sha256}")
        except RefusedError as error:
            # S3 says 403 for what is not there to a role that may not list.
            if error.status in (403, 404):
                return 0
            raise
        file = package_file(directory, package.sha256)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        return len(data)

    with ThreadPoolExecutor(STREAMS) as pool:
        sizes = list(pool.map(get, wanted))
    had = sum(1 for size in sizes if size)
    progress(f"{had} of {len(wanted)} packages are in the bucket ({sum(sizes) / 1e6:.0f} MB)")
    fetch_packages(wanted, directory, mirrors, progress)
