"""Packages decompressed ahead of their unpacking.

While packages are configured, their scripts keep one processor busy. The others decompress the packages that
are unpacked next, of this layer and of the layers on it: that is most of the work of unpacking.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, Dict, Iterable, List, Optional

from ingot.bake.packages.deb import LockedDeb
from ingot.process import start

# Bytes of all decompressed packages, which lie on the disk until they are unpacked; never more than a quarter
# of what is free.
MOST = 1 << 30
# Seconds between two looks at how large a package has become.
_PAUSE = 0.1


class Ahead:
    """The decompressed contents of packages, in files below ``directory`` that have no name: however the bake
    ends, nothing is left of them.

    ``workers``: how many at a time, by default on all processors but one; where there is one alone, nothing
    is decompressed ahead. A context manager: when it exits, nothing is decompressed any more.
    """

    def __init__(self, directory: Path, workers: int = (os.cpu_count() or 1) - 1) -> None:
        self._directory = directory
        self._left = min(MOST, shutil.disk_usage(directory).free // 4)
        self._stopped = False
        self._workers = workers
        self._pool = ThreadPoolExecutor(max(1, workers))
        self._expected: Dict[str, LockedDeb] = {}
        self._files: Dict[str, "Future[Optional[IO[bytes]]]"] = {}

    def __enter__(self) -> "Ahead":
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped, self._expected = True, {}
        for name in list(self._files):
            file = self.take(name)
            if file is not None:
                file.close()
        self._pool.shutdown(wait=True)

    def expect(self, packages: Iterable[LockedDeb]) -> None:
        """Note packages that will be unpacked, before all that were noted until now."""
        ordered = sorted(packages, key=lambda package: (-package.file.stat().st_size, package.name))
        self._expected = {**{package.name: package for package in ordered}, **self._expected}

    def begin(self) -> "List[Future[Optional[IO[bytes]]]]":
        """Decompress what is expected, the largest of each call of :meth:`expect` first; return what will be
        there of each package.

        To be called when there is work for one processor alone.
        """
        if not self._workers:
            return []
        begun = {name: self._pool.submit(self._decompress, p) for name, p in self._expected.items()}
        self._expected = {}
        self._files.update(begun)
        return list(begun.values())

    def take(self, name: str) -> Optional[IO[bytes]]:
        """Return the tar of a package, or None if it was not begun or cannot be had; the caller closes it."""
        self._expected.pop(name, None)
        future = self._files.pop(name, None)
        return None if future is None or future.cancel() else future.result()

    def _decompress(self, package: LockedDeb) -> Optional[IO[bytes]]:
        # What is wrong with a package, and a disk that is full, is said when it is unpacked.
        try:
            file = tempfile.TemporaryFile(dir=self._directory)  # noqa: SIM115 - the caller closes it
        except OSError:
            return None
        if self._write(package, file):
            file.seek(0)
            return file
        file.close()
        return None

    def _write(self, package: LockedDeb, file: IO[bytes]) -> bool:
        command = ("dpkg-deb", "--fsys-tarfile", package.file)
        with start(command, stdout=file, stderr=subprocess.DEVNULL) as process:
            while True:
                size = os.fstat(file.fileno()).st_size
                if self._stopped or size > min(package.limit, self._left):
                    process.kill()
                try:
                    status = process.wait(timeout=_PAUSE)
                except subprocess.TimeoutExpired:
                    continue
                break
        size = os.fstat(file.fileno()).st_size
        if status != 0 or size > min(package.limit, self._left):
            return False
        self._left -= size
        return True
