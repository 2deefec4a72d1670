"""The machines that were booted alone on this machine: those that run, and those that were kept."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from ingot import paths
from ingot.errors import IngotError, InputError
from ingot.files import write_atomically
from ingot.machines.machine import PROCESS, start_time
from ingot.machines.qemu import CONSOLE
from ingot.pipeline.inspection.channel import Channel
from ingot.pipeline.inspection.copy import InspectedDisk
from ingot.store import Image

_RECORD = "image.json"


def directory() -> Path:
    """Return where each machine has a directory, of its id's name."""
    return paths.home() / "boot"


@dataclass(frozen=True)
class LocalMachine:
    """A machine that boots, or booted, an image. ``token`` is None where it cannot be asked from outside."""

    directory: Path
    recipe: str
    digest: str
    token: str | None

    @property
    def console(self) -> Path:
        """What it said on its serial console."""
        return self.directory / CONSOLE

    def said(self) -> str:
        """Return its console so far; "" when it has said nothing yet."""
        try:
            return self.console.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def channel(self) -> Channel:
        """Return the connection to it; raise IngotError when it cannot be asked."""
        if self.token is None:
            raise IngotError(
                f"the machine {self.directory.name} boots the image itself, which cannot be asked",
                hint="boot a copy: `ingot boot` without --as-is",
            )
        return Channel(self.directory, self.token)

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        try:
            known = json.loads((self.directory / PROCESS).read_text())
            return known["started"] is not None and start_time(known["pid"]) == known["started"]
        except (OSError, ValueError, KeyError):
            return False


def record(place: Path, image: Image, inspected: InspectedDisk | None) -> None:
    """Write down which image the machine in the directory ``place`` boots."""
    token = None if inspected is None else inspected.token
    plain = asdict(LocalMachine(place, image.name, image.digest, token))
    del plain["directory"]
    write_atomically(place / _RECORD, json.dumps(plain, sort_keys=True) + "\n", mode=0o600)


def known() -> list[LocalMachine]:
    """Return all machines, the newest first."""
    records = sorted(directory().glob(f"i-*/{_RECORD}"), key=lambda path: -path.stat().st_mtime)
    machines = []
    for path in records:
        try:
            machines.append(LocalMachine(path.parent, **json.loads(path.read_text())))
        except (OSError, ValueError, TypeError):  # it ends at this moment, or was ended while it wrote
            continue
    return machines


def find(word: str) -> LocalMachine | None:
    """Return the machine with this id; else the newest that boots, or booted, the recipe of this name or an
    image whose digest begins so. None when there is none.
    """
    machines = known()
    for machine in machines:
        if machine.directory.name == word:
            return machine
    for machine in machines:
        if word and (machine.recipe == word or machine.digest.startswith(word)):
            return machine
    return None


def require(word: str) -> LocalMachine:
    """Return the machine as :func:`find` does; raise InputError when there is none."""
    machine = find(word)
    if machine is None:
        raise InputError(
            f"no machine on this computer boots {word}, and none was kept",
            hint=f"boot one: ingot boot {word} --keep",
        )
    return machine
