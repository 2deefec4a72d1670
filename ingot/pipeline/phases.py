"""Where the time of a command went."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ingot.quantities import elapsed


@dataclass(frozen=True)
class Phase:
    """A part of a command and how many seconds it took."""

    name: str
    seconds: float


class Phases:
    """The parts of one command in their order; those of the same name are added up."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Measure the body, also when it fails."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._seconds[name] = self._seconds.get(name, 0.0) + time.monotonic() - began

    @property
    def found(self) -> tuple[Phase, ...]:
        """What was measured so far."""
        return tuple(Phase(name, seconds) for name, seconds in self._seconds.items())


def breakdown(phases: tuple[Phase, ...]) -> str:
    """Return a table of phases with their times and shares, and the sum."""
    total = sum(phase.seconds for phase in phases)
    rows = [(elapsed(phase.seconds), _share(phase.seconds, total), phase.name) for phase in phases]
    rows.append((elapsed(total), "", "in all"))
    width = max(len(time) for time, _, _ in rows)
    return "\n".join(f"  {time:>{width}}  {share:>5}  {name}" for time, share, name in rows)


def _share(seconds: float, total: float) -> str:
    return f"{100 * seconds / total:.0f} %" if total else ""
