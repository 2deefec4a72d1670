"""Live lines at the bottom of a terminal: what is done now, for how long, and how far it is.

Works that go on side by side have a line each. When the next step of a work begins, the line of its last one
stays above with the time that it took. Nothing is printed twice.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

from ingot.progress import BYTES
from ingot.quantities import elapsed, size

_TICK = 0.12  # seconds between two drawings
_SPINNER, _PLAIN_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "|/-\\"
_BAR = 12  # columns
_NOTABLE = 1.0  # seconds: what took less says nothing of its time
_CLEAR = "\r\x1b[K"
_UP = "\x1b[A\x1b[K"
ONLY = ""  # the lane of a work that goes on alone


@dataclass
class _LaneStep:
    """What a lane does now. ``amount``: how much is done, of how much, and of what."""

    text: str
    began: float
    amount: tuple[int, int, str] | None = None


def can_draw(stream: TextIO) -> bool:
    """Whether a stream is a terminal on which a line can be drawn over."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb" and not os.environ.get("CI")


class Live:
    """The live lines on ``stream``, a terminal: one for each lane. ``clock`` gives seconds."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream, clock
        self._start = clock()
        self._lock = threading.RLock()
        self._steps: dict[str, _LaneStep] = {}
        self._lines = 0  # that are drawn at the moment
        self._drawn = 0
        self._over = threading.Event()
        self._ticker: threading.Thread | None = None
        self._unicode = "utf" in (stream.encoding or "").lower()

    def step(self, text: str, lane: str = ONLY) -> None:
        """Begin a step: what ran before in its lane has ended. A text of several lines is printed at once."""
        with self._lock:
            self._finish(lane)
            if "\n" in text:
                self._steps.pop(lane, None)
                self._print(f"{self._clock() - self._start:7.1f} s  {text}")
            else:
                self._steps[lane] = _LaneStep(text, self._clock())  # where its last one was
            self._draw()
            if self._ticker is None:
                # It only draws: an end of the program need not wait for it.
                self._ticker = threading.Thread(target=self._tick, name="live", daemon=True)
                self._ticker.start()

    def advance(self, done: int, total: int, unit: str = BYTES, lane: str = ONLY) -> bool:
        """Note how much of the step is done; the ticker draws it."""
        with self._lock:
            if lane in self._steps:
                self._steps[lane].amount = (done, total, unit) if total > 0 else None
        return True

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Take the lines away while the body prints on the same terminal."""
        with self._lock:
            self._put(self._clear())
            try:
                yield
            finally:
                self._draw()

    def settle(self, lane: str | None = None) -> None:
        """End the step that runs in a lane, or all: its line stays."""
        with self._lock:
            for name in [*self._steps] if lane is None else [lane]:
                self._finish(name)
                self._steps.pop(name, None)
            self._draw()

    def close(self) -> None:
        """End the step, and draw nothing from now on."""
        self.settle()
        self._over.set()

    def _finish(self, lane: str) -> None:
        step = self._steps.get(lane)
        if step is None:
            return
        took = self._clock() - step.began
        suffix = f"  ({elapsed(took)})" if took >= _NOTABLE else ""
        self._print(f"{step.began - self._start:7.1f} s  {step.text}{suffix}")

    def _clear(self) -> str:
        """Return what takes the lines away that are drawn; the cursor is at the end of the last one."""
        above, self._lines = max(0, self._lines - 1), 0
        return _CLEAR + _UP * above

    def _print(self, line: str) -> None:
        self._put(f"{self._clear()}{line}\n")

    def _tick(self) -> None:
        while not self._over.wait(_TICK):
            with self._lock:
                self._draw()

    def _draw(self) -> None:
        if not self._steps or self._over.is_set():
            return
        self._drawn += 1
        try:
            columns, rows = os.get_terminal_size(self._stream.fileno())
        except OSError:
            columns, rows = 0, 0
        # A line that has scrolled out of the window could not be drawn over.
        shown = [*self._steps.values()][: max(1, (rows or 24) - 1)]
        lines = [self._line(step, columns or 80) for step in shown]
        self._put(self._clear() + "\n".join(lines))
        self._lines = len(lines)

    def _line(self, step: _LaneStep, columns: int) -> str:
        signs = _SPINNER if self._unicode else _PLAIN_SPINNER
        took = self._clock() - step.began
        head = f"{step.began - self._start:7.1f} {signs[self._drawn % len(signs)]}  "
        figures = [self._share(*step.amount, took)] if step.amount is not None else []
        figures += [elapsed(took)] if took >= _NOTABLE else []
        tail = "  ".join(["", *figures])
        room = max(0, columns - 1 - len(head) - len(tail))
        text = step.text if len(step.text) <= room else f"{step.text[: max(0, room - 1)]}…"
        return f"{head}{text}{tail}"[: columns - 1]

    def _share(self, done: int, total: int, unit: str, took: float) -> str:
        full, empty = ("█", "░") if self._unicode else ("#", ".")
        cells = min(_BAR, _BAR * done // total)
        bar = f"{full * cells}{empty * (_BAR - cells)}"
        if unit != BYTES:
            return f"{bar} {done} of {total} {unit}"
        words = f"{bar} {size(done)} of {size(total)}"
        if done and took >= _NOTABLE:
            rate = done / took
            words += f", {size(rate)}/s, {elapsed((total - done) / rate)} left"
        return words

    def _put(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
