"""Writing files so that nobody sees half of one."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Union


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give an empty file beside ``path`` to write; it takes the name ``path`` when the body ends without an
    error.

    Until then ``path`` stays as it is, and after an error nothing is left of the other file. Its name is
    ``.NAME.RANDOM.PID.part``: whoever finds one whose process has ended may remove it
    (:mod:`ingot.store.leftovers`).
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
