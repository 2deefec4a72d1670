"""All machines of a cloud: how many start at once, and that none outlives it."""

from __future__ import annotations

import os
import queue
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ingot.errors import CloudError, IngotError
from ingot.machines.accelerator import choose_accelerator
from ingot.machines.disk import BaseDisks, Blocks
from ingot.machines.machine import Machine, sweep
from ingot.machines.metadata import Metadata
from ingot.machines.qemu import MachineSpec
from ingot.progress import Progress


class SpawningThread:
    """A thread that starts processes, so that the kernel's parent death signal (prctl(2))
    means the whole daemon.
    """

    def __init__(self) -> None:
        self._work: queue.Queue[tuple[Callable[[], Any], queue.Queue[Any]] | None] = queue.Queue()
        threading.Thread(target=self._loop, name="spawner", daemon=True).start()

    def __call__(self, start: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
        """Run ``start`` in the thread and return or raise what it does."""
        answer: queue.Queue[Any] = queue.Queue()
        self._work.put((start, answer))
        outcome = answer.get()
        if isinstance(outcome, BaseException):
            raise outcome
        process: subprocess.Popen[bytes] = outcome
        return process

    def stop(self) -> None:
        """End the thread, and with it every process that it started."""
        self._work.put(None)

    def _loop(self) -> None:
        while (task := self._work.get()) is not None:
            start, answer = task
            try:
                answer.put(start())
            except Exception as error:  # noqa: BLE001 - it is raised where it was asked for
                answer.put(error)


class MachinePool:
    """Machines below ``directory/machines`` on bases below ``directory/bases``."""

    def __init__(self, directory: Path, blocks_of: Blocks, *, log: Progress) -> None:
        self._machines = directory / "machines"
        self._log = log
        left = sweep(self._machines)
        if left:
            log(f"machines: ended {left} that a former daemon had left")
        self.bases = BaseDisks(directory / "bases", blocks_of)
        self.bases.clear()  # snapshots live as long as the daemon
        self.accelerator = choose_accelerator(directory / "accelerator.json")
        log(f"machines: accelerator {self.accelerator}")
        self._spawn = SpawningThread()
        self._slots = threading.BoundedSemaphore(starting_at_once(self.accelerator))
        self._live: set[Machine] = set()
        self._closed = threading.Event()

    def create(
        self, spec: MachineSpec, metadata: Metadata, on_exit: Callable[[Machine, str], None]
    ) -> Machine:
        """Return a machine that is still off."""
        directory = self._machines / spec.instance_id
        return Machine(
            spec, directory, metadata, accelerator=self.accelerator, spawn=self._spawn, on_exit=on_exit
        )

    def start(self, machine: Machine, *, wanted: Callable[[], bool], on_running: Callable[[], None]) -> None:
        """Power a machine on as soon as there is a free place among those that are starting.

        Returns when it has come to rest. Does nothing when it is no longer ``wanted`` by then. Raises
        IngotError when it does not start.
        """
        with self._slots:
            if self._closed.is_set() or not wanted():
                return
            self._live.add(machine)
            try:
                machine.start()
            except OSError as error:
                machine.kill()
                raise CloudError(f"{machine.spec.instance_id}: {error}") from error
            except IngotError:
                machine.kill()
                raise
            self._log(f"machines: {machine.spec.instance_id} runs as process {machine.pid}")
            on_running()
            machine.wait_until_settled()

    def stop(self) -> None:
        """End all machines at once and remove their directories."""
        self._closed.set()
        for machine in list(self._live):
            machine.kill()
        self._spawn.stop()
        sweep(self._machines)


def starting_at_once(accelerator: str) -> int:
    """Return how many machines may start at the same time: under TCG each keeps a core or
    two busy until it is up.
    """
    cores = len(os.sched_getaffinity(0))
    return max(1, cores) if accelerator == "tcg" else max(2, 2 * cores)
