"""One virtual machine: its directory, its process, its ports. It knows nothing of EC2."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ingot.errors import CloudError
from ingot.files import write_atomically
from ingot.machines import qemu
from ingot.machines.disk import create_blank, create_overlay, enlarge
from ingot.machines.metadata import Metadata, MetadataServer
from ingot.machines.qmp import Monitor
from ingot.process import start

# For how long a guest may take to shut down in answer to the power button before its power is cut. EC2 waits
# for minutes; a clone's systemd needs about 5 s under TCG on an idle machine.
SHUTDOWN_SECONDS = 20.0
SETTLED_LOAD = 0.3  # share of one processor below which a machine counts as started
SETTLED_LIMIT = 120.0  # seconds after which it counts as started whatever it does
SETTLED_LOOK = 2.0  # seconds between two looks at the processor time
CONSOLE_LIMIT = 65536  # bytes: GetConsoleOutput returns the last 64 KiB
PROCESS = "process.json"
TICKS = os.sysconf("SC_CLK_TCK")

Spawn = Callable[[Callable[[], "subprocess.Popen[bytes]"]], "subprocess.Popen[bytes]"]


class Machine:
    """A machine and the directory with its disk, firmware variables and console.

    ``spawn`` runs a function in a thread that lives as long as the machines are to live (the kernel ends QEMU
    with that thread). ``on_exit(machine, cause)`` is called once for each start, with ``guest`` (the guest
    powered off), ``host`` (we ended it) or ``died``.
    """

    def __init__(
        self,
        spec: qemu.MachineSpec,
        directory: Path,
        metadata: Metadata,
        *,
        accelerator: str,
        spawn: Spawn,
        on_exit: Callable[[Machine, str], None],
    ) -> None:
        self.spec = spec
        self.directory = directory
        self._metadata = metadata
        self._accelerator = accelerator
        self._spawn = spawn
        self._on_exit = on_exit
        self._process: subprocess.Popen[bytes] | None = None
        self._monitor: Monitor | None = None
        self._server: MetadataServer | None = None
        self._forwards: dict[int, int] = {}
        self._lock = threading.Lock()
        self._ending = False
        self._guest_ended = False
        self.cause = "host"  # of its last end
        self._over = threading.Event()
        self._over.set()

    @property
    def pid(self) -> int | None:
        """The process of the machine while it runs."""
        process = self._process
        return None if process is None or self._over.is_set() else process.pid

    @property
    def running(self) -> bool:
        """Say whether its process is there."""
        return not self._over.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has ended, at most ``timeout`` seconds; say whether it has."""
        return self._over.wait(timeout)

    def start(self) -> None:
        """Power on: make the disk if there is none yet, start QEMU, wait until it answers.

        Raises CloudError, CommandError or OSError; what of it runs then, `kill` ends.
        """
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        disk = self.directory / qemu.DISK
        if not disk.exists():
            create_overlay(self.spec.base, disk, self.spec.disk_size)
            shutil.copyfile(qemu.firmware(self.spec.architecture)[1], self.directory / qemu.VARIABLES)
        self._make_data_disks()
        self._ending = self._guest_ended = False
        self._forwards = {}
        self._server = MetadataServer(self.directory, qemu.METADATA_SOCKET, self._metadata)
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = self._spawn(lambda: self._run(theirs.fileno()))
        except BaseException:
            ours.close()
            self._server.stop()
            raise
        self._over.clear()
        # Before all that can fail: only the monitor learns that the process is gone, which `kill` waits for.
        self._monitor = Monitor(ours, on_event=self._event, on_end=self._ended)
        self._monitor.start()
        self._record(self._process.pid)
        self._monitor.command("cont")

    def _make_data_disks(self) -> None:
        """Make the data disks that are not there yet: those of a machine that was off are kept.

        But for what is ephemeral: that is made again.
        """
        for data in self.spec.data:
            file = self.directory / data.file
            if data.ephemeral:
                file.unlink(missing_ok=True)
            if file.exists():
                continue
            if data.base is None:
                create_blank(file, data.size)
            else:
                create_overlay(data.base, file, data.size)

    def _run(self, monitor: int) -> subprocess.Popen[bytes]:
        words = qemu.command(self.spec, accelerator=self._accelerator, monitor=monitor)
        with (self.directory / "qemu.log").open("ab") as log:
            return start(
                words, cwd=self.directory, stdout=log, stderr=log, pass_fds=[monitor], new_session=True
            )

    def _record(self, pid: int) -> None:
        record = {"pid": pid, "started": start_time(pid)}
        write_atomically(self.directory / PROCESS, json.dumps(record) + "\n")

    def _event(self, name: str, data: dict[str, Any]) -> None:
        if name == "SHUTDOWN" and data.get("guest"):
            self._guest_ended = True

    def _ended(self) -> None:
        assert self._process is not None  # noqa: S101 - the monitor exists only with a process
        assert self._server is not None  # noqa: S101
        self._process.wait()
        self._server.stop()
        (self.directory / PROCESS).unlink(missing_ok=True)
        self.cause = "host" if self._ending else "guest" if self._guest_ended else "died"
        self._over.set()
        self._on_exit(self, self.cause)

    def forward(self, port: int) -> int:
        """Return the port of 127.0.0.1 that leads to the guest's TCP ``port``; raises
        CloudError when it is off.
        """
        with self._lock:
            if port not in self._forwards:
                if self._monitor is None or self._over.is_set():
                    raise CloudError(f"{self.spec.instance_id} does not run")
                self._forwards[port] = self._add_forward(self._monitor, port)
            return self._forwards[port]

    def _add_forward(self, monitor: Monitor, port: int) -> int:
        for _ in range(20):  # another program may take the free port between our look and QEMU's bind
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                free = int(probe.getsockname()[1])
            refusal = monitor.human(f"hostfwd_add net0 tcp:127.0.0.1:{free}-:{port}")
            if not refusal:
                return free
        raise CloudError(f"no free port for port {port} of {self.spec.instance_id}: {refusal}")

    def shut_down(self) -> None:
        """Press the power button, wait for the guest, then cut the power.

        Returns when the process is gone.
        """
        self._ending = True
        if self._monitor is not None and self.running:
            try:
                self._monitor.command("system_powerdown")
            except CloudError:
                self.kill()  # its process no longer listens
            self._over.wait(SHUTDOWN_SECONDS)
        self.kill()

    def reset(self) -> None:
        """Reboot: RebootInstances. Raises CloudError when it is off."""
        if self._monitor is None:
            raise CloudError(f"{self.spec.instance_id} does not run")
        self._monitor.command("system_reset")

    def kill(self) -> None:
        """Cut the power. Returns when the process is gone."""
        self._ending = True
        if self._process is not None and self.running:
            self._process.kill()
            self._over.wait()

    def wait_until_settled(self) -> None:
        """Return when the guest has come to rest after its start, has ended, or has had SETTLED_LIMIT."""
        end = time.monotonic() + SETTLED_LIMIT
        before = self.processor_time()
        while time.monotonic() < end and not self._over.wait(SETTLED_LOOK):
            now = self.processor_time()
            if now - before < SETTLED_LOAD * SETTLED_LOOK:
                return
            before = now

    def processor_time(self) -> float:
        """Return the CPU seconds that it has used since it was started; 0 when it is off."""
        pid = self.pid
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        except OSError:
            return 0.0  # it has just ended; the caller's wait says so
        return (int(fields[11]) + int(fields[12])) / TICKS

    @property
    def accelerator(self) -> str:
        """What runs the machine's instructions: kvm or tcg."""
        return self._accelerator

    def console(self) -> tuple[bytes, float]:
        """Return the last 64 KiB of the serial console and when it was last written to
        (seconds since 1970).
        """
        try:
            with (self.directory / qemu.CONSOLE).open("rb") as file:
                status = os.fstat(file.fileno())
                file.seek(max(0, status.st_size - CONSOLE_LIMIT))
                return file.read(), status.st_mtime
        except FileNotFoundError:
            return b"", time.time()

    def enlarge(self, volume_id: str, size: int) -> None:
        """Make a volume of a machine that is off larger: ``size`` bytes."""
        names = {self.spec.volume_id: qemu.DISK, **{data.volume_id: data.file for data in self.spec.data}}
        enlarge(self.directory / names[volume_id], size)

    def discard_disk(self) -> None:
        """Remove the disk of a machine that will not start again; its console stays."""
        for name in (qemu.DISK, qemu.VARIABLES, *(data.file for data in self.spec.data)):
            (self.directory / name).unlink(missing_ok=True)


def start_time(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot (proc(5), field 22); None
    when there is none.
    """
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[19])
    except (OSError, IndexError):
        return None


def sweep(directory: Path) -> int:
    """End machines that a former daemon left in ``directory``, remove what is left of
    them; return how many ran.

    A process is ended only when its pid *and* its start time are those that were written down.
    """
    ended = 0
    for record in directory.glob(f"*/{PROCESS}"):
        try:
            known = json.loads(record.read_text())
            if known["started"] is not None and start_time(known["pid"]) == known["started"]:
                os.kill(known["pid"], signal.SIGKILL)
                ended += 1
        except (OSError, ValueError, KeyError):
            continue  # half-written: the kernel ended that process with its daemon
    shutil.rmtree(directory, ignore_errors=True)
    return ended
