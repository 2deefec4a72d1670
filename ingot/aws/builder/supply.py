"""What a builder gets its packages and artifacts from: all of it is known to be there before its launch."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ingot.aws.builder.publish import Work
from ingot.bake.packages.fetch import CONNECTIONS
from ingot.spec import Addresses

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ingot.progress import Progress
    from ingot.spec import BakeSpec, PackageSpec
    from ingot.store import Store


# Seconds. A mirror that needs longer to say that it has a file is not asked again.
TIMEOUT = 10.0


@dataclass(frozen=True)
class Supply:
    """Where a builder gets packages and artifacts from.

    ``kept``: what its bucket has, as sizes in bytes by SHA-256; that is asked first. The rest is fetched here
    and put into the bucket, but for packages that a mirror has which the builder reaches: ``archives`` says
    where those are.
    """

    store: Store
    kept: Mapping[str, int]
    archives: Mapping[str, Addresses] = field(default_factory=dict)


def work_of(spec: BakeSpec, sources: Path, supply: Supply, progress: Progress) -> Work:
    """Return what a builder instance is to bake; a base AMI brings its packages itself.

    When this returns, everything that the lock names is in the builder's bucket, on this machine, or on a
    mirror that the builder is told of. Raises BakeError or IngotError that names what cannot be fetched.
    """
    kept, store = dict(supply.kept), supply.store
    if spec.base is not None:
        files = store.fetch_downloads(spec, progress, kept=kept)
        return Work(spec=spec, sources=sources, packages=files, archives={})
    if supply.archives:
        packages = (package for one in spec.with_stages() for package in one.packages)
        lacking = [package for package in packages if kept.get(package.sha256) != package.size]
        kept |= {package.sha256: package.size for package in _offered(lacking, supply.archives, progress)}
    files = store.fetch(spec, progress, kept=kept)
    return Work(spec=spec, sources=sources, packages=files, archives=supply.archives)


def _offered(
    packages: Sequence[PackageSpec], archives: Mapping[str, Addresses], progress: Progress
) -> list[PackageSpec]:
    """Return those of the packages that a mirror of their archive has, with the size that is expected."""
    silent: set[str] = set()

    def has(package: PackageSpec) -> bool:
        return any(_has(base, package, silent) for base in archives.get(package.archive, Addresses()).mirrors)

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        found = [package for package, had in zip(packages, pool.map(has, packages), strict=True) if had]
    progress(f"{len(found)} of {len(packages)} packages are on the mirrors; the others go to the bucket")
    return found


def _has(base: str, package: PackageSpec, silent: set[str]) -> bool:
    """Ask one mirror; one that does not answer is added to ``silent``, and not asked any more."""
    if base in silent:
        return False
    url = f"{base.rstrip('/')}/{urllib.parse.quote(package.path)}"
    # As in fetch.
    request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "ingot"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310 - likewise
            return str(answer.headers.get("Content-Length")) == str(package.size)
    except urllib.error.HTTPError:
        return False
    except (OSError, http.client.HTTPException):
        silent.add(base)
        return False
