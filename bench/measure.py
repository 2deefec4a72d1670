"""One run of a command: what it took, by the kernel's own account (``bench/relay.py``)."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ingot.blocks import BLOCK_SIZE as BLOCK
from ingot.process import start
from ingot.progress import Progress


@dataclass(frozen=True)
class Sample:
    """What one run took: seconds of wall time and of all processors, the largest process in bytes, bytes
    written to file systems on disks.

    ``blocks`` is how many blocks of 512 KiB of its disk differ from those of the disk before it, None when
    that says nothing.
    """

    wall: float
    cpu: float
    memory: int
    written: int
    blocks: int | None = None


@dataclass(frozen=True)
class Case:
    """What is measured: ``before`` each run, not measured, comes ``prepare``; ``disk`` is where its disk
    lies, ``old`` the one to compare it with.
    """

    name: str
    command: Sequence[str]
    prepare: Callable[[], None] = lambda: None
    environment: Mapping[str, str] | None = None
    blocks: Callable[[], int | None] = lambda: None
    directory: Path | None = None


RELAY = Path(__file__).with_name("relay.py")


class FailedRunError(Exception):
    """A command that is measured failed; nothing can be said of it."""


def measure(case: Case, log: Path) -> Sample:
    """Run a case once; its output goes to ``log``. Raises FailedRunError with the end of it."""
    case.prepare()
    # What is still to be written of the runs before must not be paid by this one.
    os.sync()
    account = log.with_suffix(".account")
    with log.open("wb") as output:
        process = start(
            [sys.executable, "-I", "-S", str(RELAY), str(account), *case.command],
            stdout=output,
            stderr=output,
            env={**os.environ, **(case.environment or {})},
            cwd=case.directory,
        )
        status = process.wait()
    if status != 0:
        end = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise FailedRunError(f"{case.name}: exit status {status}\n{end}")
    return Sample(**json.loads(account.read_text()), blocks=case.blocks())


def interleaved(cases: Sequence[Case], runs: int, work: Path, report: Progress) -> dict[str, list[Sample]]:
    """Run all cases in turn, ``runs`` times over, so that what the machine does meanwhile
    touches all of them.
    """
    samples: dict[str, list[Sample]] = {case.name: [] for case in cases}
    for number in range(runs):
        for case in cases:
            sample = measure(case, work / "output.log")
            report(f"{number + 1} of {runs}: {case.name}: {sample.wall:.2f} s")
            samples[case.name].append(sample)
    return samples


def differing_blocks(one: Path, other: Path) -> int:
    """Return how many blocks of 512 KiB of two disks differ, the length that only one has included."""
    different = 0
    with one.open("rb") as left, other.open("rb") as right:
        while True:
            a, b = left.read(BLOCK), right.read(BLOCK)
            if not a and not b:
                return different
            different += a != b
