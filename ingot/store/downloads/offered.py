"""Which packages mirrors have, asked without fetching them."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from ingot.bake.packages.fetch import CONNECTIONS
from ingot.progress import Progress
from ingot.spec import Addresses, PackageSpec

# Seconds. A mirror that needs longer to say that it has a file is not asked again.
TIMEOUT = 10.0


def offered(
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
