"""Indexes that were fetched before: the next lock asks the mirror only whether they are still current.

One entry for each source of packages, ``indexes/KEY`` in Ingot's home: apt's own files of it, its signed
Release file and the Packages files that this names. Nothing of an entry is believed: with every lock apt
verifies the signature again, and :meth:`ingot.recipe.lock.apt.AptRoot.update` the digest of each list.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from ingot import paths
from ingot.files import sha256_of
from ingot.locks import locked, try_locked
from ingot.progress import Progress

# Bounds of the cache. Debian's main has an index of 50 MB, Ubuntu's universe one of 70 MB; a distribution has
# three sources.
MOST_ENTRIES = 24
MOST_BYTES = 1 << 30


@dataclass
class IndexCache:
    """The indexes that this machine has. One object serves one command: it asks for each source once.

    ``directory``: where entries are; None: below Ingot's home.
    """

    directory: Path | None = None
    _asked: dict[str, dict[str, str]] = field(default_factory=dict)

    @contextmanager
    def open(self, keys: Sequence[str], progress: Progress) -> Iterator[Entries]:
        """Give the entries of some sources; no other process uses these until the block ends.

        Where Ingot's home cannot be written, nothing is kept.
        """
        directory = self.directory or paths.home() / "indexes"
        with ExitStack() as stack:
            usable = True
            try:
                directory.mkdir(parents=True, exist_ok=True)
                for key in sorted(set(keys)):
                    stack.enter_context(
                        locked(
                            directory / f"{key}.lock",
                            waiting=lambda: progress("waiting: another process fetches the same indexes"),
                        )
                    )
            except OSError as error:
                progress(f"indexes are not kept: {directory}: {error.strerror}")
                usable = False
            yield Entries(directory if usable else None, self._asked)
        if usable:
            _tidy(directory)


@dataclass(frozen=True)
class Entries:
    """Entries whose locks are held."""

    directory: Path | None
    _asked: dict[str, dict[str, str]]

    def lend(self, keys: Sequence[str], lists: Path) -> bool:
        """Put the files of these sources into apt's directory of lists; tell whether each had some."""
        complete = True
        for key in dict.fromkeys(keys):
            found = self._files(key)
            complete = complete and bool(found)
            for file in found:
                _link(file, lists / file.name)
        return complete

    def asked(self, keys: Sequence[str]) -> bool:
        """Tell whether this command fetched these sources already, and has them still as they were."""
        return all(
            key in self._asked
            and {file.name: sha256_of(file) for file in self._files(key)} == self._asked[key]
            for key in keys
        )

    def keep(self, files: Mapping[str, Sequence[Path]]) -> None:
        """Keep the verified ``files`` of each source, in place of what was there."""
        if self.directory is None:
            return
        for key, found in files.items():
            entry = self.directory / key
            before = {file.name: file for file in self._files(key)}
            if {file.name for file in found} != before.keys() or not all(
                _same(file, before[file.name]) for file in found
            ):
                fresh = Path(tempfile.mkdtemp(prefix=f".{key}.", suffix=".part", dir=self.directory))
                for file in found:
                    _link(file, fresh / file.name)
                shutil.rmtree(entry, ignore_errors=True)
                fresh.rename(entry)
            os.utime(entry)  # what is used least goes first
            self._asked[key] = {file.name: sha256_of(file) for file in found}

    def drop(self, keys: Sequence[str]) -> None:
        """Forget what there is of these sources."""
        for key in keys:
            self._asked.pop(key, None)
            if self.directory is not None:
                shutil.rmtree(self.directory / key, ignore_errors=True)

    def _files(self, key: str) -> list[Path]:
        if self.directory is None or not (self.directory / key).is_dir():
            return []
        return sorted(
            file for file in (self.directory / key).iterdir() if file.is_file() and not file.is_symlink()
        )


def _link(file: Path, place: Path) -> None:
    """Give a file a second name, or copy it where that is not possible; its time tells apt how old it is."""
    place.unlink(missing_ok=True)
    try:
        place.hardlink_to(file)
    except OSError:
        shutil.copy2(file, place)


def _same(one: Path, other: Path) -> bool:
    """Tell whether two files are one, or were copied from each other."""
    a, b = one.stat(), other.stat()
    return os.path.samestat(a, b) or ((a.st_size, a.st_mtime_ns) == (b.st_size, b.st_mtime_ns))


def _tidy(directory: Path) -> None:
    """Remove what is beyond the bounds, and what a process that was killed left."""
    entries = []
    for path in directory.iterdir():
        # Another lock may tidy at the same time.
        with suppress(FileNotFoundError):
            if path.name.endswith(".part"):
                _remove(directory / f"{path.name.split('.')[1]}.lock", path)
            elif path.is_dir():
                entries.append((path.stat().st_mtime, sum(f.stat().st_size for f in path.iterdir()), path))
    held = 0
    for number, (_, size, path) in enumerate(sorted(entries, reverse=True)):
        held += size
        if number >= MOST_ENTRIES or held > MOST_BYTES:
            _remove(path.with_name(f"{path.name}.lock"), path)


def _remove(lock: Path, directory: Path) -> None:
    """Remove an entry and its lock, unless somebody uses it."""
    with try_locked(lock) as held:
        if held:
            shutil.rmtree(directory, ignore_errors=True)
            lock.unlink(missing_ok=True)
