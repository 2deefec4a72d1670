"""The record of a boot, made ready for the report: its phases, its tests, its console without control sequences."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

# Lines of the console that the report shows, the last ones; a boot has some 600.
LINES = 5000
_CONTROL = re.compile(r"\x1b\[[0-9;?=]*[A-Za-z]|\x1b[()][A-Za-z0-9]|\x1b[=>78c]|\r|\x07")
# The first line of each phase, in the order of a boot: kernel, init's first words, the target of a machine
# that is up.
_PHASES = (
    ("kernel", re.compile(r"^\[\s*0\.0+\] Linux version |\bLinux version \d")),
    ("initrd and root", re.compile(r"Run /init as init process|ingot-initrd")),
    ("services", re.compile(r"systemd\[1\]: systemd .* running in|Welcome to ")),
    ("up", re.compile(r"Reached target .*[Mm]ulti-[Uu]ser|login: ")),
)


def shown_boot(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record of `ingot boot --record` as the page draws it."""
    lines = [[time, _CONTROL.sub("", text)] for time, text in record["lines"]]
    cut = len(lines) - LINES
    if cut > 0:
        lines = [[None, f"… {cut:,} lines before are left out"], *lines[cut:]]
    seconds = float(record["seconds"])
    return {
        "recipe": record["recipe"],
        "digest": record["digest"],
        "machine": record.get("machine"),
        "ok": bool(record["tests"]) and all(test["ok"] for test in record["tests"]),
        "seconds": seconds,
        "phases": phases(lines, seconds),
        "tests": list(record["tests"]),
        "lines": lines,
    }


def phases(lines: Sequence[Sequence[Any]], end: float) -> list[dict[str, Any]]:
    """Return the phases of a boot from the times of its console's lines, in seconds from power-on; the first is the firmware's."""
    found: list[tuple[str, float]] = [("firmware", 0.0)]
    wanted = list(_PHASES)
    for time, text in lines:
        for index, (name, pattern) in enumerate(wanted):
            if time is not None and pattern.search(text):
                found.append((name, float(time)))
                del wanted[: index + 1]
                break
    ends = [start for _, start in found[1:]] + [end]
    return [
        {"name": name, "start": start, "end": max(start, stop)}
        for (name, start), stop in zip(found, ends, strict=True)
    ]
