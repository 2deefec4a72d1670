"""Changelog entries between two versions of a package, from the image or the package's file in the store."""

from __future__ import annotations

import gzip
import os
import re
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from ingot.deb822 import compare_versions
from ingot.diff.packages.changes import DOWNGRADED, UPGRADED, Changelog, ChangelogEntry, PackageChange
from ingot.diff.sides.side import Side
from ingot.process import read_from, require

# deb-changelog(5): "package (version) distributions; metadata", then indented lines, then the trailer " --
# name <mail>  date".
_HEAD = re.compile(r"^\S+ \(([^()\s]+)\) ([^;]*);")
_TRAILER = re.compile(r"^ -- .*>  (.+)$")
# Bytes of entries of one package that are kept: years of a package's history are of no use in a review.
LARGEST = 32 * 1024
# Native packages name it without ".Debian"; binary-only rebuilds carry their own entry in a file beside it.
NAMES = ("changelog.Debian.gz", "changelog.gz", "changelog.Debian")


def with_changelogs(
    changes: Sequence[PackageChange], before: Side, after: Side, packages: Path | None
) -> list[PackageChange]:
    """Return ``changes`` with the entries between the versions.

    They are read from the disk of the newer version, or, where the image leaves documentation out, from the
    package's file below ``packages``. Packages of one source share their changelog: the smallest file is
    read.
    """
    moved: dict[tuple[str, str | None, str | None], list[PackageChange]] = {}
    for change in changes:
        if change.change in (UPGRADED, DOWNGRADED):
            moved.setdefault(_source(change), []).append(change)

    def find(group: list[PackageChange]) -> Changelog | None:
        return _from_image(group, before, after) or _from_packages(group, packages)

    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        found = dict(zip(moved, pool.map(find, moved.values()), strict=True))
    return [replace(change, changelog=found.get(_source(change))) for change in changes]


def _source(change: PackageChange) -> tuple[str, str | None, str | None]:
    return change.present.source or change.name, *change.versions


def _ends(change: PackageChange) -> tuple[str, str]:
    """Return the older and the newer version."""
    before, after = change.versions
    pair = (str(before), str(after))
    return pair if change.change == UPGRADED else (pair[1], pair[0])


def _from_image(group: Sequence[PackageChange], before: Side, after: Side) -> Changelog | None:
    for change in group:
        side = after if change.change == UPGRADED else before
        name = change.name.partition(":")[0]
        for file in NAMES:
            content = side.read(side.follow(f"/usr/share/doc/{name}/{file}"))
            if content and (found := between(decompressed(content), *_ends(change), "image")):
                return found
    return None


def _from_packages(group: Sequence[PackageChange], packages: Path | None) -> Changelog | None:
    files = []
    for change in group:
        newer = change.after if change.change == UPGRADED else change.before
        digest = newer.sha256 if newer else None
        if packages is not None and digest:
            file = packages / digest[:2] / f"{digest}.deb"
            if file.is_file():
                files.append((file.stat().st_size, file))
    names = [change.name.partition(":")[0] for change in group]
    for _, file in sorted(files):
        if found := between(read_from_package(file, names), *_ends(group[0]), "package"):
            return found
    return None


def between(text: str, older: str, newer: str, origin: str) -> Changelog | None:
    """Return the entries of the versions after ``older`` up to ``newer``; None when there is none."""
    found = []
    for entry in _entries(text):
        # Sources and binaries may have different versions (a rebuild's suffix): what is older ends the search
        # all the same.
        if compare_versions(entry.version, older) <= 0:
            break
        if compare_versions(entry.version, newer) <= 0:
            found.append(entry)
    kept: list[ChangelogEntry] = []
    size = 0
    for entry in found:
        size += len(entry.text)
        if kept and size > LARGEST:
            break
        kept.append(_shortened(entry))
    return Changelog(tuple(kept), origin, len(found) - len(kept)) if kept else None


def _shortened(entry: ChangelogEntry) -> ChangelogEntry:
    """Return the beginning of an entry that is longer than all may be, such as a
    kernel's, and a note on it.
    """
    if len(entry.text) <= LARGEST:
        return entry
    lines = entry.text[:LARGEST].splitlines()[:-1]
    more = len(entry.text.splitlines()) - len(lines)
    return ChangelogEntry(
        entry.version, entry.distribution, entry.date, "\n".join([*lines, f"… {more} more lines"])
    )


def _entries(text: str) -> Iterator[ChangelogEntry]:
    version, distribution, lines = "", "", list[str]()
    for line in text.splitlines():
        if head := _HEAD.match(line):
            version, distribution, lines = head[1], head[2].strip(), []
        elif trailer := _TRAILER.match(line):
            if version:
                yield ChangelogEntry(version, distribution, trailer[1].strip(), "\n".join(lines).strip("\n"))
            version = ""
        elif version:
            lines.append(line.rstrip())


def decompressed(content: bytes) -> str:
    """Return the text of a changelog, compressed or not; nothing when it is damaged."""
    try:
        data = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    except (OSError, EOFError, zlib.error):
        return ""
    return data.decode("utf-8", "replace")


def read_from_package(file: Path, names: Sequence[str]) -> str:
    """Return the changelog of a package's file, from the directory of documentation of
    one of ``names``; nothing when it has none.

    Reading ends as soon as it is found: most of a large package lies behind it.
    """
    wanted = {f"./usr/share/doc/{name}/{changelog}" for name in names for changelog in NAMES}
    with read_from([require("dpkg-deb", needed_for="read changelogs"), "--fsys-tarfile", file]) as unpacker:
        try:
            with tarfile.open(fileobj=unpacker.stdout, mode="r|") as archive:
                for member in archive:
                    content = archive.extractfile(member) if member.name in wanted else None
                    if content is not None:
                        return decompressed(content.read())
        except tarfile.TarError:
            return ""  # a damaged package has no changelog; the bake is where it counts
        finally:
            unpacker.kill()
    return ""
