"""The journal of a publish: which resources exist, written down the instant they do.

One file per account, region, recipe and digest, under the store's ``records/publishing``. It is locked while
the publish runs, so a journal that can be locked is that of a publish that died, and its resources are
orphans.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from ingot.errors import PublishError
from ingot.locks import try_locked


@dataclass(frozen=True)
class Resource:
    """Something that a publish created: ``kind`` is snapshot, bundle, image, instance or parameter."""

    kind: str
    id: str


@dataclass(frozen=True)
class PublishTarget:
    """What is published, and where to."""

    account: str
    region: str
    recipe: str
    digest: str

    @property
    def prefix(self) -> str:
        """The start of the names of all journals of this recipe in this account and region."""
        return f"{self.account}_{self.region}_{self.recipe}_"

    @property
    def filename(self) -> str:
        """The name of this publish's journal."""
        return f"{self.prefix}{self.digest}.json"


class Journal:
    """An open, locked journal. ``publish_id`` is on the tags of every resource of this publish.

    ``written``: when a resource was noted last, or struck out (Unix seconds). None that it names is younger.
    """

    def __init__(self, path: Path, handle: TextIO, publish_id: str, resources: list[Resource]) -> None:
        self._path = path
        self._handle = handle
        self.publish_id = publish_id
        self.resources = resources
        self.written = os.fstat(handle.fileno()).st_mtime

    def record(self, kind: str, identifier: str) -> Resource:
        """Write down, durably, that a resource exists."""
        resource = Resource(kind, identifier)
        if resource not in self.resources:
            self.resources.append(resource)
            self._write()
        return resource

    def forget(self, resource: Resource) -> None:
        """Strike a resource out: it is gone, or it is meant to stay."""
        if resource in self.resources:
            self.resources.remove(resource)
            # A journal that still names it costs the next publish a look; a failure here would keep the
            # others from being removed.
            with suppress(OSError):
                self._write()

    def begin(self, publish_id: str) -> None:
        """Start a new publish in this journal: its id is on disk before its first resource exists."""
        self.publish_id = publish_id
        self.resources = []
        self._write()

    def remove(self) -> None:
        """Delete the journal: nothing of its publish is left that should not be."""
        self._path.unlink(missing_ok=True)

    def _write(self) -> None:
        """Write in place: the file is the lock too, so it cannot be replaced by renaming; a torn one reads as
        empty.

        The old text is cut off last: a disk that became full meanwhile still has the room that this file had.
        """
        text = json.dumps(
            {
                "format": 1,
                "publish_id": self.publish_id,
                "resources": [[r.kind, r.id] for r in self.resources],
            },
            sort_keys=True,
        )
        data, file = (text + "\n").encode(), self._handle.fileno()
        try:
            done = 0
            while done < len(data):
                done += os.pwrite(file, data[done:], done)
            os.ftruncate(file, len(data))
            os.fsync(file)
            self.written = time.time()
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from error


@contextmanager
def _locked(path: Path) -> Iterator[TextIO | None]:
    """Lock and open a journal; give None when another process holds it."""
    with try_locked(path) as held:
        if not held:
            yield None
            return
        with path.open("r+", encoding="utf-8") as handle:
            yield handle


def _read(path: Path, handle: TextIO) -> Journal:
    handle.seek(0)
    try:
        data = json.loads(handle.read())
        return Journal(
            path, handle, data["publish_id"], [Resource(kind, name) for kind, name in data["resources"]]
        )
    except (ValueError, KeyError, TypeError):
        # Killed while it was written. The tags find what it would have named
        # (`ingot.aws.publish.cleanup.leftovers`).
        return Journal(path, handle, "", [])


@contextmanager
def open_journal(directory: Path, target: PublishTarget) -> Iterator[Journal]:
    """Lock and read the journal of a publish.

    Raises PublishError when another process publishes the same digest.
    """
    path = directory / target.filename
    with _locked(path) as handle:
        if handle is None:
            raise PublishError(
                f"another process is publishing {target.recipe} {target.digest[:12]}",
                hint="wait until it ends, then run this again",
            )
        yield _read(path, handle)


def dead_journals_of(directory: Path, account: str, region: str) -> Iterator[Journal]:
    """Give the journals of all publishes in an account and region that died, each locked until the next."""
    for path in sorted(directory.glob(f"{account}_{region}_*.json")):
        with _locked(path) as handle:
            if handle is not None:
                yield _read(path, handle)


def dead_journals(directory: Path, target: PublishTarget) -> Iterator[Journal]:
    """Give the journals of the recipe's other publishes that died, each locked until the next one."""
    for path in sorted(directory.glob(f"{target.prefix}*.json")):
        if path.name != target.filename:
            with _locked(path) as handle:
                if handle is not None:
                    yield _read(path, handle)
