"""Fetching the packages of a lock by SHA-256 into a content-addressed directory."""

from __future__ import annotations

import threading
import urllib.parse
import urllib.request
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Iterable, Iterator, List, Mapping, Optional, Sequence

from ingot.bake.packages.asking import BUSY, GONE, SILENT, TIMEOUT, WRONG, FetchFailure, ask
from ingot.bake.packages.cache import package_file, unsound_packages
from ingot.bake.packages.receiving import Body
from ingot.errors import BakeError
from ingot.files import keep, unfinished
from ingot.progress import Progress, advance
from ingot.quantities import size
from ingot.retry import MIRROR, SNAPSHOT, Backoff
from ingot.spec import Addresses, PackageSpec

Archives = Mapping[str, Addresses]

CONNECTIONS = 4  # a mirror gains nothing from more: apt itself uses one for each host


def fetch_packages(
    packages: Iterable[PackageSpec], directory: Path, archives: Archives, progress: Progress
) -> List[Path]:
    """Make sure that ``directory`` holds all ``packages``; return their files in that order.

    Files that exist are checked against their digest and fetched again when they are damaged. ``archives``
    says where the packages of each archive are. Raises BakeError that names the first package that cannot be
    fetched.
    """
    wanted = list(packages)
    missing = unsound_packages(wanted, directory, progress)
    if missing:
        total = sum(package.size for package in missing)
        progress(f"fetching {len(missing)} packages ({size(total)})")
        _fetch_all(missing, _Fetching(directory, archives, _ByteCount(progress, total)))
    return [package_file(directory, package.sha256) for package in wanted]


class _ByteCount:
    """How many of ``total`` bytes have come, counted by all threads."""

    def __init__(self, progress: Progress, total: int) -> None:
        self.progress = progress
        self._total, self._count, self._lock = total, 0, threading.Lock()

    def add(self, size: int) -> None:
        """Count bytes."""
        with self._lock:
            self._count += size
            advance(self.progress, self._count, self._total)

    @contextmanager
    def unless_failed(self, file: BinaryIO) -> Iterator[None]:
        """Take away again what came into ``file`` when the body fails: it will come once more."""
        try:
            yield
        except BaseException:
            self.add(-file.tell())
            raise


@dataclass(frozen=True)
class _Fetching:
    """One call of :func:`fetch_packages`, for all its threads.

    ``given_up``: a package could not be had, so the others are not wanted any more. ``snapshot`` is held by
    the one thread that asks a snapshot archive.
    """

    directory: Path
    archives: Archives
    received: _ByteCount
    given_up: threading.Event = field(default_factory=threading.Event)
    snapshot: threading.Lock = field(default_factory=threading.Lock)

    def count(self, size: int) -> None:
        """Count bytes that have come; raise _UnwantedError when they are not wanted any more."""
        if self.given_up.is_set():
            raise _UnwantedError
        self.received.add(size)


def _fetch_all(packages: Sequence[PackageSpec], fetching: _Fetching) -> None:
    """Fetch packages.

    The first failure ends it all; of failures at the same time, the first in the order of ``packages`` is
    raised.
    """
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        futures = [pool.submit(_fetch, package, fetching) for package in packages]
        try:
            ended = wait(futures, return_when=FIRST_EXCEPTION).done
        finally:
            fetching.given_up.set()  # those that are still at it end soon
            pool.shutdown(wait=False, cancel_futures=True)
    for future in futures:
        if future in ended:
            future.result()


_HINTS = {
    GONE: (
        "a mirror keeps only current versions: `ingot lock NAME` moves the lock from those that are gone, "
        "INGOT_SNAPSHOT names an archive that keeps them"
    ),
    SILENT: (
        "the mirror is not reached from here: check the network and http_proxy; INGOT_MIRROR names another"
        " mirror"
    ),
    WRONG: "try again later; INGOT_MIRROR names another mirror",
}


class _UnwantedError(Exception):
    """Another package could not be had: this one is not wanted any more."""


def _fetch(package: PackageSpec, fetching: _Fetching) -> None:
    """Fetch one package from the first mirror that has it, else from a snapshot archive."""
    addresses = fetching.archives.get(package.archive, Addresses())
    failures: List[FetchFailure] = []
    for base in addresses.mirrors:
        failure = _fetch_from(base, package, fetching, MIRROR)
        if failure is None:
            return
        failures.append(failure)
    # A snapshot archive serves everyone: it does not stand in for a mirror that is down.
    if not failures or any(failure.kind in (GONE, WRONG) for failure in failures):
        more = _fetch_from_snapshots(addresses.snapshots, package, fetching)
        if more is None:
            return
        failures += more
    reason = (
        "\n    ".join(failure.said for failure in failures)
        or f"no mirror is known for the archive {package.archive}"
    )
    # That a version is gone needs another step than a mirror that is not there at all: the first is said when
    # one mirror said so.
    kinds = {failure.kind for failure in failures}
    hint = next((_HINTS[kind] for kind in (GONE, SILENT) if kind in kinds), _HINTS[WRONG])
    raise BakeError(f"package {package.name} {package.version} cannot be fetched\n    {reason}", hint=hint)


def _fetch_from_snapshots(
    bases: Sequence[str], package: PackageSpec, fetching: _Fetching
) -> Optional[List[FetchFailure]]:
    """Fetch a package from the first that has it; return what went wrong, or None."""
    failures: List[FetchFailure] = []
    with fetching.snapshot:
        if fetching.given_up.is_set():
            raise _UnwantedError
        for base in bases:
            if not failures:
                host = urllib.parse.urlsplit(base).netloc
                fetching.received.progress(
                    f"{package.name} {package.version} is gone from the mirror: asking {host}"
                )
            failure = _fetch_from(base, package, fetching, SNAPSHOT)
            if failure is None:
                return None
            failures.append(failure)
            if failure.kind in (SILENT, BUSY):
                break  # the same server as at another time
    return failures


def _fetch_from(
    base: str, package: PackageSpec, fetching: _Fetching, backoff: Backoff
) -> Optional[FetchFailure]:
    """Fetch a package from below ``base``; return what went wrong, or None.

    Failures that may pass are tried again, not before the time that the server asks for.
    """
    url = f"{base.rstrip('/')}/{urllib.parse.quote(package.path)}"
    target = package_file(fetching.directory, package.sha256)

    def once() -> Optional[str]:
        if fetching.given_up.is_set():
            raise _UnwantedError
        return _download(url, package, target, fetching)

    answer = ask(once, backoff, fetching.given_up)
    if isinstance(answer, FetchFailure):
        tries = f" ({backoff.attempts} tries)" if answer.exhausted else ""
        return answer._replace(said=f"{url}: {answer.said}{tries}")
    return None if answer is None else FetchFailure(f"{url}: {answer}")


def _download(url: str, package: PackageSpec, target: Path, fetching: _Fetching) -> Optional[str]:
    """Write the body of ``url`` to ``target`` if it is the package; return what is wrong with it, or None."""
    # The mirrors are ours to choose.
    request = urllib.request.Request(url, headers={"User-Agent": "ingot"})  # noqa: S310
    answer = urllib.request.urlopen(request, timeout=TIMEOUT)  # noqa: S310
    target.parent.mkdir(parents=True, exist_ok=True)
    with answer as response, unfinished(target.parent) as unnamed:
        with unnamed.open("wb") as file, fetching.received.unless_failed(file):
            came = Body.of(response).receive(file, package.size, fetching.count)
        if came.sha256 != package.sha256:
            kind = response.headers.get("Content-Type", "data")
            what = f"{came.size} bytes of {kind}" if came.size <= package.size else "more than that"
            return f"not the locked package (SHA-256 {package.sha256}, {package.size} bytes): {what}"
        keep(unnamed, target)
    return None
