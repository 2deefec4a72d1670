"""The local cloud as a detached process: started once, found again by its state file, ended whole.

``<cloud>/cloud.json`` names the process by its pid *and* its start time (field 22 of ``/proc/PID/stat``, proc(5)), so that a
stale file can never make us signal a stranger who got the pid.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from ingot import paths
from ingot.errors import CloudError
from ingot.machines.machine import sweep
from ingot.machines.qemu import require_tools
from localcloud.core.environment import URL_PORT, no_proxy, url_port
from localcloud.core.server import ADDRESS, CloudServer, remove_data

DEFAULT_PORT = 5566
START_LIMIT = 120  # seconds; importing moto takes about 5 on an idle machine
STOP_LIMIT = 60  # seconds until SIGKILL; machines are ended within it
POLL = 0.1  # seconds between two looks
# Loopback needs no proxy, whatever the environment names.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class CloudRecord:
    """What ``cloud.json`` holds."""

    pid: int
    started: int  # clock ticks since boot
    port: int

    @property
    def endpoint(self) -> str:
        """The address of every AWS API of this cloud."""
        return f"http://localhost:{self.port}"

    def alive(self) -> bool:
        """Say whether the very process that wrote the record still runs."""
        return start_time(self.pid) == self.started

    def ready(self) -> bool:
        """Say whether the cloud answers."""
        try:
            with DIRECT.open(f"http://{ADDRESS}:{self.port}/ingot/ready", timeout=5) as answer:
                return bool(answer.read().decode().split() == ["ingot", str(self.pid)])
        except (urllib.error.URLError, OSError):
            return False


def start_time(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None when it is not there or has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    # The second field, the name, is in parentheses and may hold anything, even parentheses and blanks.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] == "Z" else int(fields[19])


def _file() -> Path:
    return paths.cloud() / "cloud.json"


def log_file() -> Path:
    """Return where the daemon writes its log."""
    return paths.cloud() / "daemon.log"


def running() -> CloudRecord | None:
    """Return the cloud that runs, or None."""
    try:
        record = CloudRecord(**json.loads(_file().read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return record if record.alive() else None


def up(port: int | None, *, progress: Callable[[str], None]) -> tuple[CloudRecord, bool]:
    """Make sure that the cloud runs; return its record and whether it was started now.

    ``port`` None means: as it is, or DEFAULT_PORT. Raises CloudError when it cannot be started, MissingToolError when this machine
    cannot run machines.
    """
    record = running()
    if record is not None:
        if port is not None and port != record.port:
            raise CloudError(
                f"the local cloud already runs on port {record.port}",
                hint="stop it first with: ingot cloud down",
            )
        _wait_ready(record, lambda: record.alive())
        return record, False
    require_tools()
    wanted = url_port()
    paths.cloud().mkdir(parents=True, exist_ok=True)
    with log_file().open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "localcloud.daemon", str(port or DEFAULT_PORT)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=os.environ | no_proxy(os.environ) | {"INGOT_HOME": str(paths.home())},
            start_new_session=True,
        )
    try:
        progress(f"starting the local cloud, log in {log_file()}")
        if not _is_free(wanted):
            progress(
                f"port {wanted} is taken: the load balancer will listen on another one, which its URL names "
                f"({URL_PORT}=… chooses one)"
            )
        return _started(process), True
    except BaseException:
        # Also on an interrupt: who did not get a cloud shall not have one.
        _end(process)
        raise


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the balancer does
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a daemon that was just started, and take away its record: its own, not that of another that was quicker."""
    record = running()
    process.terminate()
    try:
        process.wait(STOP_LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if record is not None and record.pid == process.pid:
        _file().unlink(missing_ok=True)


def _started(process: subprocess.Popen[bytes]) -> CloudRecord:
    """Wait until the new process has written its record and answers."""
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise CloudError(_last_words(), hint=None if "taken" in _last_words() else f"see {log_file()}")
        record = running()
        if record is not None and record.pid == process.pid:
            _wait_ready(record, lambda: process.poll() is None)
            return record
        time.sleep(POLL)
    raise CloudError(f"the local cloud did not start within {START_LIMIT} s", hint=f"see {log_file()}")


def _wait_ready(record: CloudRecord, alive: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_LIMIT
    while not record.ready():
        if not alive():
            raise CloudError(f"the local cloud ended: {_last_words()}", hint=f"see {log_file()}")
        if time.monotonic() > deadline:
            raise CloudError(
                f"the local cloud does not answer on port {record.port}", hint=f"see {log_file()}"
            )
        time.sleep(POLL)


def _last_words() -> str:
    lines = log_file().read_text(encoding="utf-8", errors="replace").strip().splitlines()
    if not lines and shutil.disk_usage(paths.cloud()).free < os.sysconf("SC_PAGESIZE"):
        return f"the local cloud could not start: there is no room on the file system of {paths.cloud()}"
    return lines[-1].removeprefix("error: ") if lines else "the local cloud ended without a word"


def down(*, progress: Callable[[str], None]) -> bool:
    """End the cloud and everything that it started; return whether it ran. Images stay in the store."""
    record = running()
    if record is None:
        if _file().exists():  # its process was killed, and had no time to clear up
            _clear_up(progress)
        return False
    progress(f"stopping the local cloud (process {record.pid})")
    if record.alive():
        os.kill(record.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_LIMIT
    while record.alive():
        if time.monotonic() > deadline:
            progress("it does not end by itself: killing it")
            os.kill(record.pid, signal.SIGKILL)
            deadline += STOP_LIMIT
        time.sleep(POLL)
    _clear_up(progress)
    return True


def _clear_up(progress: Callable[[str], None]) -> None:
    """Remove the record, the blocks and the disks of a cloud that has ended; nothing is left of one that ended by itself."""
    sweep(paths.cloud() / "machines")
    remove_data(paths.cloud(), progress)
    _file().unlink(missing_ok=True)


def _log(line: str) -> None:
    stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
    sys.stderr.write(f"{stamp} {line}\n")
    sys.stderr.flush()


def serve(port: int) -> int:
    """Run the cloud in this process until SIGTERM or SIGINT; the daemon's main function."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    server = CloudServer(paths.cloud(), port, log=_log)
    try:
        context = server.start()
    except CloudError as error:
        sys.stderr.write(f"error: {error.message} (choose another with --port or INGOT_CLOUD_PORT)\n")
        return error.exit_code
    try:
        started = start_time(os.getpid())
        assert started is not None  # noqa: S101 - we run
        record = CloudRecord(os.getpid(), started, context.port)
        part = _file().with_suffix(".part")
        part.write_text(json.dumps(asdict(record), sort_keys=True) + "\n", encoding="utf-8")
        part.rename(_file())
        _log(f"ready at {context.endpoint}")
        stop.wait()
        _log("stopping")
    finally:
        server.stop()
    _log("stopped")
    return 0


if __name__ == "__main__":
    status = serve(int(sys.argv[1]))
    sys.stderr.flush()
    os._exit(status)  # moto's and werkzeug's daemon threads must not hold up the end
