"""Runs the command line in this process, within the bounds that hold for any input."""

from __future__ import annotations

import contextlib
import gc
import io
import json
import re
import resource
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ingot.cli.main import main

# Seconds of a processor, bytes.
LONGEST, MOST_MEMORY = 2.0, 300 << 20
# Characters of all that is printed about one input, and of one line of it.
MOST_OUTPUT, LONGEST_LINE = 200_000, 3_000
PLACE = re.compile(r"((error|warning): )?[^\s:][^:]*:[1-9][0-9]*:[1-9][0-9]*: ")


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code and what it printed."""

    code: int
    stdout: str
    stderr: str


class TooSlowError(Exception):
    """More than :data:`LONGEST`."""


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """Fail for a body that takes more of the processor, or more memory, than any input may.

    The kernel counts both: the processor's time, which other processes do not change, and the address space.
    """

    def too_slow(_number: int, _frame: object) -> None:
        raise TooSlowError(f"more than {LONGEST} s of processor time")

    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGPROF, too_slow)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MOST_MEMORY, hard))
    signal.setitimer(signal.ITIMER_PROF, LONGEST)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.signal(signal.SIGPROF, before)


def ingot(*arguments: str) -> Ended:
    """Run ``ingot ARGUMENTS`` in this process; an exception that it does not handle is raised."""
    output, errors = io.StringIO(), io.StringIO()
    with bounded(), contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            main(list(arguments))
        except SystemExit as ended:
            code = ended.code
    assert isinstance(code, int), code
    return Ended(code, output.getvalue(), errors.getvalue())


def examine(ended: Ended, *, good: tuple[int, ...] = (0,)) -> None:
    """Hold a command to what bad input may do: success, or exit code 2 with a place for every problem."""
    require_bounded(ended.stdout + ended.stderr)
    assert ended.code in (*good, 2), ended
    if ended.code == 2:
        require_places(ended.stderr)


def require_places(text: str) -> None:
    """Fail unless each line says where: file:line:column. Hints belong to the line above."""
    if text.startswith("{"):  # as `--json` has it
        text = json.loads(text)["error"]["message"]
    lines = [line for line in text.splitlines() if line and not line.startswith(" ")]
    assert lines, "nothing is said"
    for line in lines:
        assert PLACE.match(line), line


def require_bounded(text: str) -> None:
    """Fail for a report that is too long to read, or that no terminal should get."""
    assert len(text) <= MOST_OUTPUT, len(text)
    assert max(map(len, text.splitlines()), default=0) <= LONGEST_LINE
    text.encode()
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text)
