"""Progress: lines on stderr, in a log file, and on the terminal device where stderr does not reach it."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TextIO

from ingot.cli.terminal.live import ONLY, Live, can_draw
from ingot.cli.terminal.printable import printable, without_runner_commands
from ingot.progress import BYTES, QUIET, Timed


class Reporter:
    """Takes lines of progress. Use it as a context manager: it closes what it opened.

    On a terminal the step that runs is a live line; elsewhere each line has the seconds since the start.
    """

    def __init__(self, *, log: Path | None = None, terminal: bool = False, live: bool = True) -> None:
        """Report on stderr; also in the file ``log``, and with ``terminal`` on the terminal device.

        The CDK CLI shows nothing of what an asset's executable writes to stderr; the terminal is how progress
        is seen all the same. ``live``: nothing else writes to the terminal meanwhile, but by :meth:`print`.
        """
        self._open = ExitStack()
        self._lock = threading.Lock()
        self._live: Live | None = None
        self._outputs: list[TextIO] = []
        if not quiet():
            if live and can_draw(sys.stderr):
                self._live = Live(sys.stderr)
            else:
                self._outputs.append(sys.stderr)
        self._timed = Timed(self._write)
        if log is not None:
            log.parent.mkdir(parents=True, exist_ok=True)
            self._outputs.append(self._open.enter_context(log.open("w", encoding="utf-8")))
        if terminal and not quiet() and not sys.stderr.isatty():
            # Without a terminal (continuous integration) it cannot be opened; then the log has everything.
            with suppress(OSError):
                device = Path("/dev/tty").open("w", encoding="utf-8")  # noqa: SIM115 - closed with it
                self._outputs.append(self._open.enter_context(device))

    def __enter__(self) -> Reporter:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(
            OSError
        ):  # what was left to be written to a disk that is full, or a terminal that has gone
            if self._live is not None:
                self._live.close()
            self._open.close()

    def __call__(self, message: str) -> None:
        """Write one line, with the seconds since the start."""
        self.report(message, ONLY)

    def report(self, message: str, lane: str) -> None:
        """Write one line of one of several works that go on side by side."""
        if self._live is not None:
            try:
                self._live.step(printable(message), lane)
            except OSError:  # the terminal has gone: the work goes on
                self._live = None
        self._timed(message)

    def advance(self, done: int, total: int, unit: str = BYTES, lane: str = ONLY) -> bool:
        """Show how much of the last step is done; say whether there is a place for it."""
        return self._live is not None and self._live.advance(done, total, unit, lane)

    def beat(self, message: str, lane: str = ONLY) -> None:
        """Write a line of how the last step goes on; on a terminal it takes the place of the one before."""
        if self._live is not None:
            try:
                self._live.beat(printable(message), lane)
            except OSError:  # the terminal has gone: the work goes on
                self._live = None
        self._timed(message)

    def lane(self, name: str) -> ReportedLane:
        """Return the progress of one of several works that go on side by side."""
        return ReportedLane(self, name)

    def print(self, text: str) -> None:
        """Print a result on stdout, which may be the same terminal."""
        if self._live is None:
            print(text, flush=True)
            return
        with self._live.hidden():
            print(text, flush=True)

    def settle(self, lane: str | None = None) -> None:
        """Leave the terminal to others until the next line; with ``lane`` only its line stays as it is."""
        if self._live is not None:
            self._live.settle(lane)

    def _write(self, line: str) -> None:
        """Write a line. What cannot be written ends neither the work nor a clean-up."""
        line = without_runner_commands(line)
        with self._lock:  # lines of works that go on side by side do not mix
            for output in tuple(self._outputs):
                try:
                    print(line, file=output, flush=True)
                except OSError:  # a full disk, or a reader that has gone: that output gets no more
                    self._outputs.remove(output)


class ReportedLane:
    """One of several works that go on side by side: on a terminal each has a live line."""

    def __init__(self, reporter: Reporter, name: str) -> None:
        self._reporter, self._name = reporter, name

    def __call__(self, message: str) -> None:
        """Write one line, with the seconds since the reporter's start."""
        self._reporter.report(message, self._name)

    def advance(self, done: int, total: int, unit: str = BYTES) -> bool:
        """Show how much of its last step is done; say whether there is a place for it."""
        return self._reporter.advance(done, total, unit, self._name)

    def beat(self, message: str) -> None:
        """Write a line of how its last step goes on."""
        self._reporter.beat(message, self._name)

    def settle(self) -> None:
        """End its step: its line stays, and its place is free."""
        self._reporter.settle(self._name)


def quiet() -> bool:
    """Whether progress is not shown: --quiet, which travels to the programs that Ingot runs."""
    return bool(os.environ.get(QUIET))
