"""What a reader has to know of the machine: no name, no path."""

from __future__ import annotations

import os
import platform
import re
from datetime import UTC, datetime
from pathlib import Path

from ingot.process import run


def describe(work: Path) -> str:
    """Return the machine's description, one line for each thing."""
    kind, size = _file_system(work)
    load = "/".join(f"{value:.1f}" for value in os.getloadavg())
    lines = [
        (
            f"Measured on {datetime.now(UTC):%Y-%m-%d}, {_system()}, Linux"
            f" {platform.release().split('-')[0]}, Python {platform.python_version()}."
        ),
        (
            f"Processor: {_processor()}, {os.cpu_count()} cores; memory {_memory():.0f} GiB; work on {kind}"
            f" with {size:.0f} GiB free."
        ),
        f"Load before the first run (1, 5, 15 minutes): {load}.",
    ]
    return "\n".join(lines)


def _system() -> str:
    text = Path("/etc/os-release").read_text(encoding="utf-8")
    found = re.search(r'^PRETTY_NAME="?([^"\n]*)', text, re.MULTILINE)
    return found[1] if found else "unknown"


def _processor() -> str:
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    found = re.search(r"^model name\s*:\s*(.*)$", text, re.MULTILINE)
    return found[1] if found else platform.machine()


def _memory() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)


def _file_system(path: Path) -> tuple[str, float]:
    done = run(["findmnt", "--noheadings", "--output", "FSTYPE", "--target", path])
    status = os.statvfs(path)
    return done.stdout.strip(), status.f_bavail * status.f_frsize / (1 << 30)
