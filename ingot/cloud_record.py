"""Where the local cloud of this machine runs: what it writes for whoever wants to use it.

``<cloud>/cloud.json`` names its process by pid *and* start time (field 22 of ``/proc/PID/stat``, proc(5)), so
that a stale file never makes us signal a stranger who got the pid.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ingot import paths
from ingot.files import write_atomically

# Loopback needs no proxy, whatever the environment names.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class CloudRecord:
    """What ``cloud.json`` holds. ``environment``: the variables with which AWS's tools use the cloud.

    They hold the cloud's key, so the file is readable by its owner only.
    """

    pid: int
    started: int  # clock ticks since boot
    port: int
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def endpoint(self) -> str:
        """The address of every AWS API of this cloud."""
        return f"http://localhost:{self.port}"

    def alive(self) -> bool:
        """Return whether the very process that wrote the record still runs."""
        return start_time(self.pid) == self.started

    def ready(self) -> bool:
        """Return whether the cloud answers."""
        try:
            with _DIRECT.open(f"http://127.0.0.1:{self.port}/ingot/ready", timeout=5) as answer:
                return bool(answer.read().decode().split() == ["ingot", str(self.pid)])
        except (urllib.error.URLError, OSError):
            return False


def start_time(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None if it has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    # The second field, the name, is in parentheses and may hold anything, even parentheses and blanks.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] == "Z" else int(fields[19])


def file() -> Path:
    """Return where the record is written."""
    return paths.cloud() / "cloud.json"


def running() -> CloudRecord | None:
    """Return the record of the cloud that runs, or None."""
    try:
        record = CloudRecord(**json.loads(file().read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return record if record.alive() else None


def write(port: int, environment: Mapping[str, str]) -> CloudRecord:
    """Record that this process is the local cloud, and return the record."""
    started = start_time(os.getpid())
    assert started is not None  # noqa: S101 - we run
    record = CloudRecord(os.getpid(), started, port, dict(environment))
    write_atomically(file(), json.dumps(asdict(record), sort_keys=True) + "\n", mode=0o600)
    return record


def no_proxy(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that keep requests to loopback from a proxy that ``environ``
    names, if it names one.

    Python reads the lower-case name first, and so does the CDK CLI; others know only the upper-case one: both
    get the value of either.
    """
    if not any(environ.get(name) for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")):
        return {}
    value = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    names = [name.strip() for name in value.split(",") if name.strip()]
    value = ",".join([*names, *(name for name in ("localhost", "127.0.0.1") if name not in names)])
    return {"no_proxy": value, "NO_PROXY": value}
