"""The local cloud as a detached process: started once, found by the record it writes, ended as a whole."""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from ingot import cloud_record, paths
from ingot.cloud_record import CloudRecord, no_proxy, running
from ingot.errors import CloudError, InputError
from ingot.machines.machine import sweep
from ingot.machines.qemu import require_tools
from ingot.process import start
from ingot.progress import Progress
from localcloud.core.environment import CERTIFICATE, EC2_CERTIFICATE, URL_PORT, url_port, variables
from localcloud.core.waiting import wait_until
from localcloud.server import CloudServer, remove_data

DEFAULT_PORT = 5566
START_LIMIT = 120  # seconds; importing moto takes about 5 on an idle machine
STOP_LIMIT = 60  # seconds until SIGKILL; machines are ended within it
POLL = 0.1  # seconds between two looks


def log_file() -> Path:
    """Return where the daemon writes its log."""
    return paths.cloud() / "daemon.log"


def up(
    port: int | None,
    *,
    parent: int | None = None,
    progress: Progress,
    program: str = "localcloud",
) -> tuple[CloudRecord, bool]:
    """Make sure that the cloud runs; return its record and whether it was started now.

    ``port`` None means: as it is, or DEFAULT_PORT. ``parent`` is the process with which a cloud that is
    started now ends; one that runs already is left as it is. ``program`` is how hints name the command line.
    Raises CloudError if it cannot be started, InputError if there is no such parent, MissingToolError if this
    machine cannot run machines.
    """
    record = running()
    if record is not None:
        if port is not None and port != record.port:
            raise CloudError(
                f"the local cloud already runs on port {record.port}",
                hint=f"stop it first with: {program} down",
            )
        _wait_ready(record, lambda: record.alive())
        return record, False
    require_tools()
    wanted = url_port()
    if parent is not None and cloud_record.start_time(parent) is None:
        raise no_parent(parent)
    paths.cloud().mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "localcloud", "serve", "--port", str(port or DEFAULT_PORT)]
    if parent is not None:
        command += ["--with-parent", str(parent)]
    with log_file().open("wb") as log:
        process = start(
            command,
            stdout=log,
            stderr=log,
            cwd=Path("/"),
            env=os.environ | no_proxy(os.environ) | {"INGOT_HOME": str(paths.home())},
            new_session=True,
        )
    try:
        progress(f"starting the local cloud, log in {log_file()}")
        if not _is_free(wanted):
            progress(
                f"port {wanted} is in use: the load balancer picks another; its URL names it "
                f"({URL_PORT}=… chooses one)"
            )
        return _started(process), True
    except BaseException:
        # On an interrupt, too: a cloud that its caller knows nothing of must not go on running.
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
    """End a daemon that was just started, and remove its record, not that of another that was quicker."""
    record = running()
    process.terminate()
    try:
        process.wait(STOP_LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if record is not None and record.pid == process.pid:
        cloud_record.file().unlink(missing_ok=True)


def _started(process: subprocess.Popen[bytes]) -> CloudRecord:
    """Wait until the new process has written its record and answers."""
    record: CloudRecord | None = None

    def recorded() -> bool:
        nonlocal record
        if process.poll() is not None:
            raise CloudError(_last_words(), hint=None if "taken" in _last_words() else f"see {log_file()}")
        record = running()
        return record is not None and record.pid == process.pid

    if not wait_until(recorded, limit=START_LIMIT, pause=POLL) or record is None:
        raise CloudError(f"the local cloud did not start within {START_LIMIT} s", hint=f"see {log_file()}")
    _wait_ready(record, lambda: process.poll() is None)
    return record


def _wait_ready(record: CloudRecord, alive: Callable[[], bool]) -> None:
    def ready() -> bool:
        if record.ready():
            return True
        if not alive():
            raise CloudError(f"the local cloud ended: {_last_words()}", hint=f"see {log_file()}")
        return False

    if not wait_until(ready, limit=START_LIMIT, pause=POLL):
        raise CloudError(f"the local cloud does not answer on port {record.port}", hint=f"see {log_file()}")


def _last_words() -> str:
    lines = log_file().read_text(encoding="utf-8", errors="replace").strip().splitlines()
    if not lines and shutil.disk_usage(paths.cloud()).free < os.sysconf("SC_PAGESIZE"):
        return f"the local cloud could not start: there is no room on the file system of {paths.cloud()}"
    return lines[-1].removeprefix("error: ") if lines else "the local cloud ended without a word"


def down(*, progress: Progress) -> bool:
    """End the cloud and everything that it started; return whether it ran. Images stay in the store."""
    record = running()
    if record is None:
        if cloud_record.file().exists():  # its process was killed, and had no time to clear up
            _clear_up(progress)
        return False
    progress(f"stopping the local cloud (process {record.pid})")
    if record.alive():
        os.kill(record.pid, signal.SIGTERM)
    while not wait_until(lambda: not record.alive(), limit=STOP_LIMIT, pause=POLL):
        progress("it does not end by itself: killing it")
        os.kill(record.pid, signal.SIGKILL)
    _clear_up(progress)
    return True


def _clear_up(progress: Progress) -> None:
    """Remove the record, the blocks and the disks of a cloud that has ended.

    One that stopped in an orderly way has left nothing.
    """
    sweep(paths.cloud() / "machines")
    remove_data(paths.cloud(), progress)
    cloud_record.file().unlink(missing_ok=True)


def _log(line: str) -> None:
    stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
    sys.stderr.write(f"{stamp} {line}\n")
    sys.stderr.flush()


def no_parent(pid: int) -> InputError:
    """Return the error for a parent that does not run."""
    return InputError(f"--with-parent: no process has the id {pid}")


def _stop_with(parent: int, stop: threading.Event) -> None:
    """Set ``stop`` when the process ``parent`` ends, however it ends. Raises InputError if it does not run.

    A pidfd (pidfd_open(2)) means this very process, not a later one with its id, and need not be a child's.
    """
    try:
        handle = os.pidfd_open(parent)
    except OSError as error:
        raise no_parent(parent) from error

    def wait() -> None:
        ended = select.poll()
        ended.register(handle, select.POLLIN)
        ended.poll()
        _log(f"process {parent}, with which this cloud ends, has ended")
        stop.set()

    threading.Thread(target=wait, name="parent", daemon=True).start()


def serve(port: int, *, parent: int | None = None) -> int:
    """Run the cloud in this process until SIGTERM, SIGINT or the end of ``parent``; return the exit code.

    The daemon's main function.
    """
    other = running()
    if other is not None:
        sys.stderr.write(f"error: the local cloud already runs on port {other.port}\n")
        return 1
    paths.cloud().mkdir(parents=True, exist_ok=True)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if parent is not None:
        _stop_with(parent, stop)
    server = CloudServer(paths.cloud(), port, log=_log)
    try:
        context = server.start()
    except CloudError as error:
        sys.stderr.write(f"error: {error.message} ({error.hint})\n")
        return error.exit_code
    try:
        cloud_record.write(
            context.port,
            {
                **variables(context.port, context.access_key),
                EC2_CERTIFICATE: str(context.directory / CERTIFICATE),
            },
        )
        _log(f"ready at {context.endpoint}")
        stop.wait()
        _log("stopping")
    finally:
        server.stop()
        cloud_record.file().unlink(missing_ok=True)
    _log("stopped")
    return 0
