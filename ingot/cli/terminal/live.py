"""A live line at the bottom of a terminal: what is done now, for how long, and how far it is.

When the next step begins, the line of the last one stays above with the time that it took. Nothing is
printed twice.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from ingot.progress import BYTES
from ingot.quantities import elapsed, size

_TICK = 0.12  # seconds between two drawings
_SPINNER, _PLAIN_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "|/-\\"
_BAR = 12  # columns
_NOTABLE = 1.0  # seconds: what took less says nothing of its time
_CLEAR = "\r\x1b[K"


def can_draw(stream: TextIO) -> bool:
    """Whether a stream is a terminal on which a line can be drawn over."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb" and not os.environ.get("CI")


class Live:
    """The live line on ``stream``, a terminal. ``clock`` gives seconds."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream, clock
        self._start = clock()
        self._lock = threading.RLock()
        self._step: str | None = None
        self._began = self._start
        self._amount: tuple[int, int, str] | None = None
        self._drawn = 0
        self._over = threading.Event()
        self._ticker: threading.Thread | None = None
        self._unicode = "utf" in (stream.encoding or "").lower()

    def step(self, text: str) -> None:
        """Begin a step: what ran before has ended. A text of several lines is printed at once."""
        with self._lock:
            self._finish()
            if "\n" in text:
                self._print(f"{self._clock() - self._start:7.1f} s  {text}")
                return
            self._step, self._began, self._amount = text, self._clock(), None
            self._draw()
            if self._ticker is None:
                # It only draws: an end of the program need not wait for it.
                self._ticker = threading.Thread(target=self._tick, name="live", daemon=True)
                self._ticker.start()

    def advance(self, done: int, total: int, unit: str = BYTES) -> bool:
        """Note how much of the step is done; the ticker draws it."""
        with self._lock:
            self._amount = (done, total, unit) if self._step is not None and total > 0 else None
        return True

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Take the line away while the body prints on the same terminal."""
        with self._lock:
            self._put(_CLEAR)
            try:
                yield
            finally:
                self._draw()

    def settle(self) -> None:
        """End the step that runs: its line stays."""
        with self._lock:
            self._finish()

    def close(self) -> None:
        """End the step, and draw nothing from now on."""
        self.settle()
        self._over.set()

    def _finish(self) -> None:
        if self._step is None:
            return
        took = self._clock() - self._began
        suffix = f"  ({elapsed(took)})" if took >= _NOTABLE else ""
        text, self._step = self._step, None
        self._print(f"{self._began - self._start:7.1f} s  {text}{suffix}")

    def _print(self, line: str) -> None:
        self._put(f"{_CLEAR}{line}\n")

    def _tick(self) -> None:
        while not self._over.wait(_TICK):
            with self._lock:
                self._draw()

    def _draw(self) -> None:
        if self._step is None or self._over.is_set():
            return
        signs = _SPINNER if self._unicode else _PLAIN_SPINNER
        self._drawn += 1
        took = self._clock() - self._began
        head = f"{self._began - self._start:7.1f} {signs[self._drawn % len(signs)]}  "
        figures = [self._share(took)] if self._amount is not None else []
        figures += [elapsed(took)] if took >= _NOTABLE else []
        tail = "  ".join(["", *figures])
        try:
            columns = os.get_terminal_size(self._stream.fileno()).columns or 80
        except OSError:
            columns = 80
        room = max(0, columns - 1 - len(head) - len(tail))
        step = self._step if len(self._step) <= room else f"{self._step[: max(0, room - 1)]}…"
        self._put(_CLEAR + f"{head}{step}{tail}"[: columns - 1])

    def _share(self, took: float) -> str:
        assert self._amount is not None  # noqa: S101 - the caller looked
        done, total, unit = self._amount
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
