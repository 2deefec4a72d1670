"""The packages of a lock in a content-addressed directory: where each lies, and whether it is sound.

:mod:`ingot.bake.packages.fetch` brings them. It is apart: a bake that needs no package need not wait for HTTP and TLS to be imported.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Iterable, List, Mapping

from ingot.errors import BakeError
from ingot.progress import Progress

PIECE = 1 << 20
UNFINISHED = ".fetch-"  # what a download is named until it is whole


def package_file(directory: Path, sha256: str) -> Path:
    """Return where the package with that digest lies."""
    return directory / sha256[:2] / f"{sha256}.deb"


def unsound_packages(
    entries: Iterable[Mapping[str, Any]], directory: Path, progress: Progress
) -> List[Mapping[str, Any]]:
    """Return those of the lock's ``entries`` that ``directory`` does not hold; one that is damaged there is removed."""
    return [entry for entry in entries if not _is_sound(entry, directory, progress)]


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
    file.unlink(missing_ok=True)
    return False


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as source:
        for piece in iter(lambda: source.read(PIECE), b""):
            digest.update(piece)
    return digest.hexdigest()
