"""Reading files that a user names, and writing files so that nobody sees half of one."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import stat
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Callable, Iterator, Union

_PIECE = 1 << 20  # bytes of a file that are in memory at a time
UNFINISHED = ".part"  # how the name of a file ends until it is whole


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


def sha256_of(file: Path) -> str:
    """Return the SHA-256 of a file's content, in hex."""
    digest = hashlib.sha256()
    with file.open("rb") as content:
        for piece in iter(lambda: content.read(_PIECE), b""):
            digest.update(piece)
    return digest.hexdigest()


@contextmanager
def unfinished(directory: Path, name: str = "") -> Iterator[Path]:
    """Give an empty file in ``directory``, which must exist; it is gone afterwards unless it has another name
    by then (:func:`keep`).

    It can be read by its owner alone, and is called ``.NAME.RANDOM.PID.part``: whoever finds one whose
    process has ended may remove it (:mod:`ingot.store.store`).
    """
    handle, file = tempfile.mkstemp(dir=directory, prefix=f".{name}.", suffix=f".{os.getpid()}{UNFINISHED}")
    os.close(handle)
    try:
        yield Path(file)
    finally:
        Path(file).unlink(missing_ok=True)


def keep(file: Path, target: Path, *, mode: int = 0o644) -> None:
    """Give a file that is whole its name, in place of what had it. The target's directory is created when it
    does not exist.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    file.chmod(mode)
    file.replace(target)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give an empty file beside ``path`` to write; it takes the name ``path`` when the body ends without an
    error. Its owner alone can read it unless the body changes that.

    Until then ``path`` stays as it is, and after an error nothing is left of the other file.
    """
    with unfinished(path.parent, path.name) as file:
        yield file
        file.replace(path)


def write_atomically(path: Path, content: Union[str, bytes], *, mode: int = 0o644) -> None:
    """Write a file whole or not at all, over an older one if there is one; text is UTF-8.

    Its directory is created when it does not exist. It is not synced to the disk: after a power failure the
    file may be the old one. What must survive that (the journal of a publish) syncs by itself.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with unfinished(path.parent, path.name) as file:
        file.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        keep(file, path, mode=mode)


@contextmanager
def making(directory: Path, remove: Callable[[Path], None] = shutil.rmtree) -> Iterator[Path]:
    """Give the path beside ``directory`` at which the body makes it: ``NAME.tmp``. It takes its name when the
    body ends without an error; else ``remove`` takes it away.

    Hold a lock for ``directory`` meanwhile: what is there before is of a process that was killed.
    """
    aside = directory.with_name(f"{directory.name}.tmp")
    if aside.exists():
        remove(aside)
    try:
        yield aside
        aside.rename(directory)
    except BaseException:
        # What went wrong says more than that some of it stays; whoever makes it next removes that.
        with suppress(OSError):
            remove(aside)
        raise


def remove_aside(directory: Path, aside: Path, remove: Callable[[Path], None] = shutil.rmtree) -> None:
    """Remove a directory under the name ``aside``: a killed removal leaves no half of it under its own.

    Hold a lock for ``directory`` meanwhile: what has the other name before is of a process that was killed.
    """
    if aside.exists():
        remove(aside)
    directory.rename(aside)
    remove(aside)


def write_output(path: Path, text: str) -> None:
    """Write a file that a user names as :func:`write_atomically` does, but into a directory that exists, with
    the mode of the file that is replaced or that of any new file, and through a link.

    What is no regular file, such as /dev/stdout or a pipe, takes the text as it comes.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        path.write_text(text, encoding="utf-8")
        return
    with unfinished(target.parent, target.name) as file:
        file.write_text(text, encoding="utf-8")
        keep(file, target, mode=_mode(target))


def _mode(path: Path) -> int:
    """Return the mode of a file; where there is none, that of a new one: what the umask leaves (proc(5),
    /proc/self/status: asking umask(2) would set it, for all threads).
    """
    if path.exists():
        return stat.S_IMODE(path.stat().st_mode)
    umask = re.search(r"^Umask:\s*([0-7]+)", Path("/proc/self/status").read_text(), re.MULTILINE)
    return 0o666 & ~int(umask[1], 8) if umask is not None else 0o600
