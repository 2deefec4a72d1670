"""Wheels from the Python indexes that this machine knows, fetched by pip with its own configuration.

So private indexes, proxies and credentials are pip's matter (pip.conf, PIP_INDEX_URL, netrc), and nothing of
them is written into a lock: it has the names of files, and their hashes.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ingot.bake.packages.cache import download_file
from ingot.errors import IngotError
from ingot.files import keep, sha256_of
from ingot.process import CommandError, require, run

# Seconds. A large wheel comes at a megabyte a second, and there may be several.
LONGEST = 3600
# Old names of platforms that wheels still have: PEP 513, 571, 599.
_LEGACY = {(2, 5): "manylinux1", (2, 12): "manylinux2010", (2, 17): "manylinux2014"}


@dataclass(frozen=True)
class WheelTarget:
    """What a wheel must fit: ``python`` as 3.11, ``glibc`` as (2, 36), ``machine`` as x86_64."""

    python: str
    glibc: tuple[int, int]
    machine: str

    def options(self) -> Iterator[str]:
        """Give pip's options for it, the newest platform first (PEP 600)."""
        for minor in range(self.glibc[1], 4, -1):
            yield f"--platform=manylinux_{self.glibc[0]}_{minor}_{self.machine}"
            if legacy := _LEGACY.get((self.glibc[0], minor)):
                yield f"--platform={legacy}_{self.machine}"
        yield f"--platform=linux_{self.machine}"
        yield from ("--implementation=cp", f"--python-version={self.python}")
        yield f"--abi=cp{self.python.replace('.', '')}"


def platform_of(python: str, libc6: str, machine: str) -> WheelTarget:
    """Return the platform of an image by its Python, the version of its package libc6, and its machine."""
    glibc = re.match(r"(\d+)\.(\d+)", libc6)
    return WheelTarget(python, (int(glibc[1]), int(glibc[2])) if glibc else (2, 17), machine)


def download(
    requirements: Sequence[str], platform: WheelTarget, directory: Path
) -> Mapping[str, tuple[str, int]]:
    """Download the wheels of ``requirements``, each NAME==VERSION or NAME, into the store's ``directory``.

    Returns SHA-256 and bytes of each by the name of its file. Raises CommandError with pip's own words, from
    which pip leaves out credentials.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ingot-wheels-", dir=directory) as work:
        options = [
            "--no-deps",
            "--only-binary=:all:",
            "--quiet",
            "--disable-pip-version-check",
            "--no-cache-dir",
        ]
        command = [*_pip(), "download", *options, *platform.options(), "--dest", work, *requirements]
        run(
            command,
            timeout=LONGEST,
            env={
                **os.environ,
                "PIP_NO_INPUT": "1",
                "PIP_DISABLE_PIP_VERSION_CHECK": "1",
                "LC_ALL": "C.UTF-8",
            },
        )
        found = {}
        for file in sorted(Path(work).glob("*.whl")):
            digest, size = sha256_of(file), file.stat().st_size
            target = download_file(directory, digest)
            keep(file, target)
            found[file.name] = (digest, size)
    return found


def fetch_wheel(url: str, sha256: str, platform: WheelTarget, directory: Path) -> None:
    """Fetch one wheel of a lock by its package URL; raise IngotError when the index has another or none."""
    name = url.partition("?")[0].removeprefix("pkg:pypi/").replace("@", "==")
    try:
        found = download([name], platform, directory)
    except CommandError as error:
        raise IngotError(
            f"{name} cannot be fetched from the Python index:\n{error.output.strip()}",
            hint="check that this machine reaches the index; PIP_INDEX_URL names another one",
        ) from error
    if sha256 not in {digest for digest, _ in found.values()}:
        raise IngotError(
            f"the Python index has another {name} than the lock: expected SHA-256 {sha256}",
            hint="PIP_INDEX_URL names the index; lock the recipe again if the new file is right",
        )


def _pip() -> list[str]:
    """Return the command that runs pip: that of this Python, else the machine's."""
    if find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    return [require("pip", needed_for="fetch Python packages")]
