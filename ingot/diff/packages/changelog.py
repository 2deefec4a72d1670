"""Changelog entries between two versions of a package: from the image, else from the package's file in the store."""

from __future__ import annotations

import gzip
import re
import subprocess
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingot.deb822 import compare_versions
from ingot.process import require

# deb-changelog(5): "package (version) distributions; metadata", then indented lines, then the trailer " -- name <mail>  date".
_HEAD = re.compile(r"^\S+ \(([^()\s]+)\) ([^;]*);")
_TRAILER = re.compile(r"^ -- .*>  (.+)$")
_CVE = re.compile(r"\bCVE-\d{4}-\d{4,}\b")
# Bytes of entries of one package that are kept: years of a package's history are of no use in a review.
LARGEST = 32 * 1024
# Native packages name it without ".Debian"; binary-only rebuilds carry their own entry in a file beside it.
NAMES = ("changelog.Debian.gz", "changelog.gz", "changelog.Debian")


@dataclass(frozen=True)
class ChangelogEntry:
    """One version's entry. ``date`` is RFC 5322 text, as the entry has it."""

    version: str
    distribution: str
    date: str
    text: str


@dataclass(frozen=True)
class Changelog:
    """The entries between two versions, newest first. ``origin`` is `image` or `package`; ``left_out`` counts what was too much."""

    entries: tuple[ChangelogEntry, ...]
    origin: str
    left_out: int

    @property
    def cves(self) -> tuple[str, ...]:
        """The vulnerabilities that the entries name, the newest first."""
        found = {cve for entry in self.entries for cve in _CVE.findall(entry.text)}
        return tuple(sorted(found, key=lambda cve: [-int(part) for part in cve.split("-")[1:]]))

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON's types."""
        return {
            "origin": self.origin,
            "cves": list(self.cves),
            "left_out": self.left_out,
            "entries": [vars(entry) for entry in self.entries],
        }


def between(text: str, older: str, newer: str, origin: str) -> Changelog | None:
    """Return the entries of the versions after ``older`` up to ``newer``; None when there is none."""
    found = []
    for entry in _entries(text):
        # Sources and binaries may have different versions (a rebuild's suffix): what is older ends the search all the same.
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
    """Return an entry that is longer than all entries may be, such as a kernel's, with its beginning only, and says so."""
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
    """Return the changelog of a package's file, from the directory of documentation of one of ``names``; nothing when it has none.

    Reading ends as soon as it is found: most of a large package lies behind it.
    """
    wanted = {f"./usr/share/doc/{name}/{changelog}" for name in names for changelog in NAMES}
    with subprocess.Popen(
        [require("dpkg-deb", needed_for="read changelogs"), "--fsys-tarfile", str(file)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as unpacker:
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
