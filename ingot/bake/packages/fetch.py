"""Fetching the packages of a lock by SHA-256 into a content-addressed directory."""

from __future__ import annotations

import hashlib
import http.client
import os
import ssl
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import BinaryIO, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from ingot.bake.packages.cache import PIECE, UNFINISHED, package_file, unsound_packages
from ingot.errors import BakeError
from ingot.progress import Progress
from ingot.retry import MIRROR
from ingot.spec import PackageSpec

Mirrors = Mapping[str, Union[str, Sequence[str]]]

CONNECTIONS = 4  # a mirror gains nothing from more: apt itself uses one for each host
TIMEOUT = 30.0  # seconds without a byte, as apt's Acquire::http::Timeout
# A mirror that sends a byte now and then would hold the bake for ever: a package has this long, and its size
# at this rate on top.
PATIENCE = 60.0  # seconds
SLOWEST = 32 * 1024  # bytes in a second: a quarter of a 1 Mbit/s line


def fetch_packages(
    packages: Iterable[PackageSpec], directory: Path, mirrors: Mirrors, progress: Progress
) -> List[Path]:
    """Make sure that ``directory`` holds all ``packages``; return their files in that order.

    Files that exist are checked against their digest and fetched again when they are damaged. ``mirrors``
    maps a package's ``archive`` to one base URL or to several, which are tried in turn. Raises BakeError that
    names the first package that cannot be fetched.
    """
    wanted = list(packages)
    missing = unsound_packages(wanted, directory, progress)
    if missing:
        total = sum(package.size for package in missing)
        progress(f"fetching {len(missing)} packages ({total / 1e6:.0f} MB)")
        _fetch_all(missing, directory, mirrors)
    return [package_file(directory, package.sha256) for package in wanted]


def _fetch_all(packages: Sequence[PackageSpec], directory: Path, mirrors: Mirrors) -> None:
    """Fetch packages.

    The first failure ends it all; of failures at the same time, the first in the order of ``packages`` is
    raised.
    """
    given_up = threading.Event()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        futures = [pool.submit(_fetch, package, directory, mirrors, given_up) for package in packages]
        try:
            ended = wait(futures, return_when=FIRST_EXCEPTION).done
        finally:
            given_up.set()  # those that are still at it end soon
            pool.shutdown(wait=False, cancel_futures=True)
    for future in futures:
        if future in ended:
            future.result()


# Why a package cannot be had: the mirror has it no more, nothing answers there, or what came is not the
# package.
GONE, SILENT, WRONG = "gone", "silent", "wrong"
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


class _Failure(NamedTuple):
    said: str
    kind: str = WRONG


class _GivenUpError(Exception):
    """Another package could not be had: this one is not wanted any more."""


def _fetch(package: PackageSpec, directory: Path, mirrors: Mirrors, given_up: threading.Event) -> None:
    """Fetch one package from the first mirror that has it."""
    bases = mirrors.get(package.archive, ())
    failures: List[_Failure] = []
    for base in [bases] if isinstance(bases, str) else bases:
        url = f"{base.rstrip('/')}/{urllib.parse.quote(package.path)}"
        failure = _fetch_from(url, package, package_file(directory, package.sha256), given_up)
        if failure is None:
            return
        failures.append(failure._replace(said=f"{url}: {failure.said}"))
    reason = (
        "\n    ".join(failure.said for failure in failures)
        or f"no mirror is known for the archive {package.archive}"
    )
    # That a version is gone needs another step than a mirror that is not there at all: the first is said when
    # one mirror said so.
    kinds = {failure.kind for failure in failures}
    hint = next((_HINTS[kind] for kind in (GONE, SILENT) if kind in kinds), _HINTS[WRONG])
    raise BakeError(f"package {package.name} {package.version} cannot be had\n    {reason}", hint=hint)


def _fetch_from(
    url: str, package: PackageSpec, target: Path, given_up: threading.Event
) -> Optional[_Failure]:
    """Fetch ``url`` into ``target``; return what went wrong, or None.

    Failures that may pass are tried again.
    """
    failure = _Failure("")
    for failures in range(MIRROR.attempts):
        if given_up.wait(MIRROR.limit(failures)):
            raise _GivenUpError
        try:
            said = _download(url, package, target, given_up)
            return None if said is None else _Failure(said)
        except urllib.error.HTTPError as error:
            gone = error.code in (404, 410)
            failure = _Failure(f"HTTP status {error.code} {error.reason}", GONE if gone else WRONG)
            if error.code < 500 and error.code != 429:
                return failure
        except urllib.error.URLError as error:
            gone = isinstance(error.reason, FileNotFoundError)  # of file://
            failure = _Failure(str(error.reason), GONE if gone else SILENT)
        except (TimeoutError, ConnectionError, ssl.SSLError, http.client.HTTPException) as error:
            failure = _Failure(str(error) or type(error).__name__)
    return failure._replace(said=f"{failure.said} ({MIRROR.attempts} tries)")


def _download(url: str, package: PackageSpec, target: Path, given_up: threading.Event) -> Optional[str]:
    """Write the body of ``url`` to ``target`` if it is the package; return what is wrong with it, or None."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response:  # noqa: S310 - the mirrors are ours to choose
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=UNFINISHED)
        try:
            with os.fdopen(handle, "wb") as file:
                size, sha256 = _receive(response, file, package.size, given_up)
            if sha256 != package.sha256:
                kind = response.headers.get("Content-Type", "data")
                came = f"{size} bytes of {kind}" if size <= package.size else "more than that"
                return f"not the locked package (SHA-256 {package.sha256}, {package.size} bytes): {came}"
            Path(name).chmod(0o644)
            Path(name).replace(target)
        finally:
            Path(name).unlink(missing_ok=True)
    return None


def _receive(
    response: http.client.HTTPResponse, file: BinaryIO, expected: int, given_up: threading.Event
) -> Tuple[int, str]:
    """Write a body to ``file``, at most a little more than ``expected`` bytes; return its
    size and its SHA-256.

    Raises ConnectionError when it ends before the length that the mirror announced, TimeoutError when it
    comes too slowly.
    """
    announced = response.headers.get("Content-Length", "")
    digest, size, start = hashlib.sha256(), 0, time.monotonic()
    # read1: whatever has come. read would wait for a whole piece, however slowly it comes.
    for piece in iter(lambda: response.read1(PIECE), b""):
        if given_up.is_set():
            raise _GivenUpError
        size += len(piece)
        digest.update(piece)
        file.write(piece)
        seconds = time.monotonic() - start
        if seconds > PATIENCE + size / SLOWEST:
            raise TimeoutError(f"too slow: {size} of {expected} bytes in {seconds:.0f} s")
        if size > expected:
            return size, digest.hexdigest()
    if announced.isdigit() and size < int(announced):
        raise ConnectionError(f"the answer ended after {size} of {announced} bytes")
    return size, digest.hexdigest()
