"""Live lines at the bottom of a terminal: what is done now, for how long, and how far it is.

Works that go on side by side have a line each. When the next step of a work begins, the line of its last one
stays above with the time that it took. Nothing is printed twice. rich draws; it is imported when a step has
taken long enough to be drawn, so that a bake with nothing to do does not wait for it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from ingot.progress import BYTES
from ingot.quantities import elapsed, size

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.live import Live as Display

DELAY = 0.3  # seconds: what ends sooner is printed, not drawn
_RATE = 8  # drawings in a second
_SPINNER, _PLAIN_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "|/-\\"
_BAR = 12  # columns
_READABLE = 40  # columns of a step's text that a narrow terminal leaves
_NOTABLE = 1.0  # seconds: what took less says nothing of its time
ONLY = ""  # the lane of a work that goes on alone


@dataclass
class _LaneStep:
    """What a lane does now. ``amount``: how much is done, of how much, and of what; ``beat``: how it goes."""

    text: str
    began: float
    amount: tuple[int, int, str] | None = None
    beat: str = ""


def can_draw(stream: TextIO) -> bool:
    """Whether a stream is a terminal on which a line can be drawn over."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb" and not os.environ.get("CI")


class Live:
    """The live lines on ``stream``, a terminal: one for each lane.

    ``clock`` gives seconds; ``delay``: for so many real ones nothing is drawn.
    """

    def __init__(
        self, stream: TextIO, clock: Callable[[], float] = time.monotonic, delay: float = DELAY
    ) -> None:
        self._stream, self._clock, self._delay = stream, clock, delay
        self._start = clock()
        # Held while something is printed. What rich draws with takes no lock of ours: rich holds its own.
        self._lock = threading.RLock()
        self._steps: dict[str, _LaneStep] = {}
        self._timer: threading.Timer | None = None
        self._due = self._over = False
        self._display: Display | None = None
        self._unicode = "utf" in (stream.encoding or "").lower()

    def step(self, text: str, lane: str = ONLY) -> None:
        """Begin a step: what ran before in its lane has ended. A text of several lines is printed at once."""
        with self._lock:
            last = self._steps.get(lane)
            if "\n" in text:
                self._steps.pop(lane, None)
                self._print_ended(last)
                self._print(f"{self._clock() - self._start:7.1f} s  {text}")
            else:
                self._steps[lane] = _LaneStep(text, self._clock())  # where its last one was
                self._print_ended(last)
            self._draw()
            if self._timer is None:
                # It only draws: an end of the program need not wait for it.
                self._timer = threading.Timer(self._delay, self._begin)
                self._timer.daemon = True
                self._timer.start()

    def advance(self, done: int, total: int, unit: str = BYTES, lane: str = ONLY) -> bool:
        """Note how much of the step is done; it is drawn at the next turn."""
        with self._lock:
            if lane in self._steps:
                self._steps[lane].amount = (done, total, unit) if total > 0 else None
        return True

    def beat(self, text: str, lane: str = ONLY) -> None:
        """Note how the step goes on, in place of what was noted before; without a step it is one."""
        with self._lock:
            if lane in self._steps:
                self._steps[lane].beat = text.replace("\n", " ")
            else:
                self.step(text, lane)

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Take the lines away while the body prints on the same terminal."""
        with self._lock:
            self._clear()
            try:
                yield
            finally:
                self._draw()

    def settle(self, lane: str | None = None) -> None:
        """End the step that runs in a lane, or all: its line stays."""
        with self._lock:
            for name in [*self._steps] if lane is None else [lane]:
                self._print_ended(self._steps.pop(name, None))
            self._draw()

    def close(self) -> None:
        """End the step, and draw nothing from now on."""
        with self._lock:
            self._over = True
            if self._timer is not None:
                self._timer.cancel()
            try:
                self.settle()
            finally:
                self._clear()

    def _begin(self) -> None:
        """Draw from now on: the timer's thread."""
        import rich.live  # noqa: F401 - before the lock is taken, for it takes a while

        with self._lock:
            self._due = True
            self._draw()

    def _print_ended(self, step: _LaneStep | None) -> None:
        if step is None:
            return
        took = self._clock() - step.began
        suffix = f"  ({elapsed(took)})" if took >= _NOTABLE else ""
        self._print(f"{step.began - self._start:7.1f} s  {step.text}{suffix}")

    def _print(self, line: str) -> None:
        if self._display is not None:
            self._display.console.out(line, highlight=False)
            return
        self._stream.write(f"{line}\n")
        self._stream.flush()

    def _draw(self) -> None:
        """See that the lines are drawn if there are any."""
        if not self._steps or self._over:
            self._clear()
        elif self._due and self._display is None:
            from rich.console import Console
            from rich.live import Live as Display

            console = Console(file=self._stream, color_system=None, force_terminal=True)
            # One for each time: it forgets nothing of what it drew before.
            self._display = Display(
                console=console,
                get_renderable=lambda: _Lines(self._lines),
                refresh_per_second=_RATE,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._display.start(refresh=True)

    def _clear(self) -> None:
        """Take the lines away that are drawn."""
        display, self._display = self._display, None
        if display is not None:
            display.stop()

    def _lines(self, columns: int) -> list[str]:
        return [self._line(step, columns) for step in list(self._steps.values())]

    def _line(self, step: _LaneStep, columns: int) -> str:
        signs = _SPINNER if self._unicode else _PLAIN_SPINNER
        took = self._clock() - step.began
        head = f"{step.began - self._start:7.1f} {signs[int(took * _RATE) % len(signs)]}  "
        shares = self._shares(*step.amount, took) if step.amount is not None else [""]
        since = elapsed(took) if took >= _NOTABLE else ""
        said = step.beat or step.text
        for share in shares:  # what the step is comes before how it goes
            tail = "".join(f"  {figure}" for figure in (share, since) if figure)
            room = max(0, columns - 1 - len(head) - len(tail))
            if room >= min(len(said), _READABLE):
                break
        text = said if len(said) <= room else f"{said[: max(0, room - 1)]}…"
        return f"{head}{text}{tail}"[: columns - 1]

    def _shares(self, done: int, total: int, unit: str, took: float) -> list[str]:
        """Return how far a step is, in ever fewer columns."""
        full, empty = ("█", "░") if self._unicode else ("#", ".")
        cells = min(_BAR, _BAR * done // total)
        bar = f"{full * cells}{empty * (_BAR - cells)}"
        if unit != BYTES:
            return [f"{bar} {done} of {total} {unit}", f"{done} of {total} {unit}", f"{done}/{total}"]
        amount = f"{size(done)} of {size(total)}"
        if not done or took < _NOTABLE:
            return [f"{bar} {amount}", amount, size(total)]
        rate = done / took
        left = f"{elapsed((total - done) / rate)} left"
        return [f"{bar} {amount}, {size(rate)}/s, {left}", f"{amount}, {size(rate)}/s, {left}", left]


class _Lines:
    """Lines that rich asks for each time that it draws."""

    def __init__(self, lines: Callable[[int], list[str]]) -> None:
        self._lines = lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        for line in self._lines(options.max_width):
            yield Text(line, no_wrap=True, overflow="crop")
