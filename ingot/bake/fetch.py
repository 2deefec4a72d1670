"""Fetching the packages of a lock by SHA-256 into a content-addressed directory."""

from __future__ import annotations

import hashlib
import http.client
import os
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Iterable, List, Mapping, Optional, Sequence, Union

from ingot.errors import BakeError

Progress = Callable[[str], None]
Mirrors = Mapping[str, Union[str, Sequence[str]]]

CONNECTIONS = 4  # a mirror gains nothing from more: apt itself uses one for each host
TRIES = 3
TIMEOUT = 30.0  # seconds without a byte, as apt's Acquire::http::Timeout
PIECE = 1 << 20


def package_file(directory: Path, sha256: str) -> Path:
    """Return where the package with that digest lies."""
    return directory / sha256[:2] / f"{sha256}.deb"


def fetch_packages(
    entries: Iterable[Mapping[str, Any]], directory: Path, mirrors: Mirrors, progress: Progress
) -> List[Path]:
    """Make sure that ``directory`` holds every package of the lock's ``entries``; return their files in that order.

    What is there is checked against its digest and fetched again when it is damaged. ``mirrors`` maps an entry's ``archive`` to one
    base URL or to several, which are tried in turn. Raises BakeError naming the first package that cannot be had.
    """
    wanted = list(entries)
    missing = [entry for entry in wanted if not _is_sound(entry, directory, progress)]
    if missing:
        total = sum(int(entry["size"]) for entry in missing)
        progress(f"fetching {len(missing)} of {len(wanted)} packages ({total / 1e6:.0f} MB)")
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            futures = [pool.submit(_fetch, entry, directory, mirrors) for entry in missing]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                for future in futures:
                    future.cancel()
                raise
    return [package_file(directory, entry["sha256"]) for entry in wanted]


def check_packages(entries: Iterable[Mapping[str, Any]], directory: Path, progress: Progress) -> None:
    """Check every package in ``directory``. Raises BakeError naming the first one that is missing or damaged."""
    for entry in entries:
        if not _is_sound(entry, directory, progress):
            raise BakeError(
                f"package {entry['name']} {entry['version']} is missing in {directory}",
                hint="fetch it again; its SHA-256 is " + entry["sha256"],
            )


def _is_sound(entry: Mapping[str, Any], directory: Path, progress: Progress) -> bool:
    file = package_file(directory, entry["sha256"])
    if not file.exists():
        return False
    if _sha256(file) == entry["sha256"]:
        return True
    progress(f"package {entry['name']} {entry['version']} is damaged in the store; removed")
    file.unlink()
    return False


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as source:
        for piece in iter(lambda: source.read(PIECE), b""):
            digest.update(piece)
    return digest.hexdigest()


def _fetch(entry: Mapping[str, Any], directory: Path, mirrors: Mirrors) -> None:
    """Fetch one package from the first mirror that has it."""
    bases = mirrors.get(entry["archive"], ())
    failures = []
    for base in [bases] if isinstance(bases, str) else bases:
        url = f"{base.rstrip('/')}/{urllib.parse.quote(entry['path'])}"
        failure = _fetch_from(url, entry, package_file(directory, entry["sha256"]))
        if failure is None:
            return
        failures.append(f"{url}: {failure}")
    reason = "\n    ".join(failures) or f"no mirror is known for the archive {entry['archive']}"
    raise BakeError(
        f"package {entry['name']} {entry['version']} cannot be had\n    {reason}",
        hint="a mirror keeps only current versions; `ingot lock --upgrade` moves the lock to what it has",
    )


def _fetch_from(url: str, entry: Mapping[str, Any], target: Path) -> Optional[str]:
    """Fetch ``url`` into ``target``; return what went wrong, or None. Failures that may pass are tried again."""
    failure: Optional[str] = None
    for attempt in range(TRIES):
        if attempt:
            time.sleep(attempt)  # a busy mirror needs a moment: 1 s, then 2 s
        try:
            return _download(url, entry, target)
        except urllib.error.HTTPError as error:
            failure = f"HTTP status {error.code} {error.reason}"
            if error.code < 500 and error.code != 429:
                return failure
        except urllib.error.URLError as error:
            failure = str(error.reason)
        except (TimeoutError, ConnectionError, http.client.HTTPException) as error:
            failure = str(error) or type(error).__name__
    return f"{failure} ({TRIES} tries)"


def _download(url: str, entry: Mapping[str, Any], target: Path) -> Optional[str]:
    """Write the body of ``url`` to ``target`` if it is the package; return what is wrong with it, or None."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    size = 0
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response:  # noqa: S310 - the mirrors are ours to choose
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=".fetch-")
        try:
            with os.fdopen(handle, "wb") as file:
                for piece in iter(lambda: response.read(PIECE), b""):
                    size += len(piece)
                    if size > int(entry["size"]):
                        break
                    digest.update(piece)
                    file.write(piece)
            if size != int(entry["size"]) or digest.hexdigest() != entry["sha256"]:
                return f"not the locked package (SHA-256 {entry['sha256']}, {entry['size']} bytes)"
            Path(name).chmod(0o644)
            Path(name).replace(target)
        finally:
            Path(name).unlink(missing_ok=True)
    return None
