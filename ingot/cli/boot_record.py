"""The record of a boot: when each line of the console came, and when each test ended. Reports draw it."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

from ingot.machines.machine import Machine
from ingot.machines.qemu import CONSOLE
from ingot.store import Image

# Seconds between two looks at the console: how exact the times of its lines are.
LOOK = 0.2


class BootRecord:
    """Watches a machine from its power-on. Use it as a context manager; times are seconds since it was entered."""

    def __init__(self, image: Image, machine: Machine) -> None:
        self.image = image
        self.machine = machine
        self.tests: list[dict[str, Any]] = []
        self.lines: list[tuple[float, str]] = []
        self._rest = b""
        self._read = 0
        self._start = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> BootRecord:
        self._start = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        ended = False
        while not ended:
            ended = self._over.wait(LOOK)
            self._look()

    def _look(self) -> None:
        try:
            with (self.machine.directory / CONSOLE).open("rb") as file:
                file.seek(self._read)
                new = file.read()
        except FileNotFoundError:  # it has said nothing yet
            return
        self._read += len(new)
        *whole, self._rest = (self._rest + new).split(b"\n")
        at = self._now()
        self.lines += [(at, line.decode(errors="replace").rstrip("\r")) for line in whole]

    def _now(self) -> float:
        return round(time.monotonic() - self._start, 2)

    def test(self, name: str, problem: str | None, where: str) -> None:
        """Note that a test ended, ``problem`` being None when it passed. ``where``: outside or inside."""
        at = self._now()
        self.tests.append(
            {"name": name, "ok": problem is None, "at": at, "where": where, "detail": problem or ""}
        )

    def write(self, path: Path) -> None:
        """Write the record as JSON, what the console said so far included."""
        content = {
            "format": 1,
            "recipe": self.image.name,
            "digest": self.image.digest,
            "machine": f"QEMU, {self.machine.accelerator}",
            "seconds": self._now(),
            "tests": self.tests,
            "lines": self.lines,
        }
        path.write_text(json.dumps(content) + "\n", encoding="utf-8")
