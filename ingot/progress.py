"""How work that takes a while says what it does: one line of text at a time, to whoever called it.

Standard library only, Python 3.9: this module travels to builder instances with ``ingot.bake``.
"""

from __future__ import annotations

import time
from typing import Callable

# Called with one line, without its end. It neither raises nor takes long: work and clean-up go on whatever
# becomes of it.
Progress = Callable[[str], None]
BYTES = "bytes"
QUIET = "INGOT_QUIET"  # in the environment: no progress is shown; it travels to the programs that Ingot runs


def silent(_: str) -> None:
    """Drop a line of progress."""


def advance(progress: Progress, done: int, total: int, unit: str = BYTES) -> bool:
    """Say that ``done`` of ``total`` of the work that the last line named are done.

    Returns whether it is shown: whoever draws has a method ``advance``; in a log of lines it has no place.
    """
    draw = getattr(progress, "advance", None)
    return draw is not None and bool(draw(done, total, unit))


def beat(progress: Progress, line: str) -> None:
    """Say how a work goes on that the last line named: it takes long, and nothing else is to be said.

    Whoever draws has a method ``beat`` and shows the newest such line alone; elsewhere it is a line.
    """
    (getattr(progress, "beat", None) or progress)(line)


def settle(progress: Progress) -> None:
    """Leave the terminal to others, such as a shell, until the next line.

    Whoever draws has a method ``settle``; elsewhere nothing is in their way.
    """
    leave = getattr(progress, "settle", None)
    if leave is not None:
        leave()


class Lane:
    """A Progress of one of several works that go on side by side: each of its lines begins with its ``name``.

    A context manager: when it exits, its work has ended. Whoever draws has a line for each, and a method
    ``lane`` that returns a Progress with the methods ``advance`` and ``settle``.
    """

    def __init__(self, progress: Progress, name: str) -> None:
        make = getattr(progress, "lane", None)
        self._drawn = None if make is None else make(name)
        self._progress: Progress = progress if self._drawn is None else self._drawn
        self._head = f"{name}: "

    def __enter__(self) -> "Lane":
        return self

    def __exit__(self, *_: object) -> None:
        if self._drawn is not None:
            self._drawn.settle()

    def __call__(self, line: str) -> None:
        """Pass a line on."""
        self._progress(self._head + line)

    def advance(self, done: int, total: int, unit: str = BYTES) -> bool:
        """Pass on how far the work is."""
        return self._drawn is not None and advance(self._drawn, done, total, unit)

    def beat(self, line: str) -> None:
        """Pass on how the work goes on."""
        beat(self._progress, self._head + line)


class Timed:
    """A Progress that puts the seconds since it was made before each line."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._start = time.monotonic()

    def __call__(self, line: str) -> None:
        """Pass a line on."""
        self._progress(f"{time.monotonic() - self._start:7.1f} s  {line}")

    def advance(self, done: int, total: int, unit: str = BYTES) -> bool:
        """Pass on how far the work is."""
        return advance(self._progress, done, total, unit)
