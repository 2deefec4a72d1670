"""Starts a program, waits for it, and writes what it took: ``relay.py ACCOUNT PROGRAM…``.

A small process of its own, because the kernel counts the largest size of a process from that of the one
that started it, and the memory of the benchmark is not the program's. Processor time is a control group's,
where one can be made: getrusage(2) has only that of processes that somebody waits for, and a bake lets the
kernel reap the programs of its packages.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

# Version 1's controller, and version 2's hierarchy where it is the only one.
PLACES = (Path("/sys/fs/cgroup/cpuacct"), Path("/sys/fs/cgroup"))


def own_group(name: str = "ingot-bench") -> Path | None:
    """Move this process into a new control group named so and by its pid; None where that cannot be."""
    for place in PLACES:
        group = place / f"{name}-{os.getpid()}"
        with suppress(OSError):
            if place.name == "cpuacct" or (place / "cgroup.controllers").is_file():
                group.mkdir()
                (group / "cgroup.procs").write_text("0")
                return group
    return None


def processor_seconds(group: Path) -> float:
    """Return what all processes of the group took, those that ended included."""
    usage = group / "cpuacct.usage"
    if usage.is_file():
        return int(usage.read_text()) / 1e9
    fields = dict(line.split() for line in (group / "cpu.stat").read_text().splitlines())
    return int(fields["usage_usec"]) / 1e6


def main(account: str, command: list[str]) -> int:
    """Run ``command``; return its exit status, or 128 and the number of the signal that ended it."""
    group = own_group()
    before = 0.0 if group is None else processor_seconds(group)
    begin = time.monotonic()
    _, status, usage = os.wait4(os.posix_spawnp(command[0], command, os.environ), 0)
    wall = time.monotonic() - begin
    cpu = usage.ru_utime + usage.ru_stime
    if group is not None:
        cpu = processor_seconds(group) - before
        with suppress(OSError):  # what the program left running keeps it
            (group.parent / "cgroup.procs").write_text("0")
            group.rmdir()
    # ru_maxrss is in KiB, ru_oublock in units of 512 bytes (getrusage(2), Linux).
    found = {"wall": wall, "cpu": cpu, "memory": usage.ru_maxrss * 1024, "written": usage.ru_oublock * 512}
    Path(account).write_text(json.dumps(found))
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
