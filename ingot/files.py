"""Reading files that a user names, and writing files so that nobody sees half of one."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Union


class UnusableFileError(OSError):
    """A file that exists and is not read: it is no regular file, or too large. ``strerror`` says which."""


def read_limited(path: Path, limit: int) -> bytes:
    """Return the content of a regular file of at most ``limit`` bytes, links followed.

    Whatever the name leads to, it neither waits nor fills the memory: a FIFO, a device, a directory or a
    larger file raises UnusableFileError. Raises OSError when the file cannot be read.
    """
    # Opening some devices does something already, so they are not opened.
    _require_regular(path.stat(), path, limit)
    # Should it be replaced by a FIFO between the two calls, opening it must not wait for a writer.
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    with os.fdopen(handle, "rb") as file:
        _require_regular(os.fstat(handle), path, limit)
        content = file.read(limit + 1)
    if len(content) > limit:
        raise UnusableFileError(errno.EFBIG, f"more than {limit} bytes", str(path))
    return content


def _require_regular(status: os.stat_result, path: Path, limit: int) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise UnusableFileError(errno.EISDIR, "a directory", str(path))
    if not stat.S_ISREG(status.st_mode):
        raise UnusableFileError(errno.EINVAL, "no regular file", str(path))
    if status.st_size > limit:
        raise UnusableFileError(errno.EFBIG, f"{status.st_size} bytes, more than {limit}", str(path))


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give an empty file beside ``path`` to write; it takes the name ``path`` when the body ends without an
    error.

    Until then ``path`` stays as it is, and after an error nothing is left of the other file. Its name is
    ``.NAME.RANDOM.PID.part``: whoever finds one whose process has ended may remove it
    (:mod:`ingot.store.store`).
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=f".{os.getpid()}.part")
    os.close(handle)
    unfinished = Path(name)
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_atomically(path: Path, content: Union[str, bytes], *, mode: int = 0o644) -> None:
    """Write a file whole or not at all, over an older one if there is one; text is UTF-8.

    Its directory is created when it does not exist. It is not synced to the disk: after a power failure the
    file may be the old one. What must survive that (the journal of a publish) syncs by itself.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as unfinished:
        unfinished.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        unfinished.chmod(mode)  # mkstemp makes it private
