"""The conversation with a machine that answers on its second serial port."""

from __future__ import annotations

import base64
import os
import re
import secrets
import select
import socket
import time
from collections.abc import Callable
from pathlib import Path

from ingot.errors import CloudError, InputError
from ingot.machines.qemu import CHANNEL
from ingot.pipeline.inspection.copy import MARK

# Seconds between two questions whether it answers: what is asked before the guest listens is lost.
ASK_EVERY = 1.0
# Bytes of a command: the guest's serial port has no way to stop who sends too much, and its terminal's
# buffer takes 64 KiB (TTYB_DEFAULT_MEM_LIMIT in drivers/tty/tty_buffer.c).
LONGEST = 24 << 10
Output = Callable[[bytes], None]


class Channel:
    """A connection to the machine in ``directory``. A context manager.

    The machine takes one at a time. Raises CloudError when the machine does not run.
    """

    def __init__(self, directory: Path, token: str) -> None:
        self._mark = re.compile(re.escape(f"{MARK}{token} ".encode()) + rb"(\w+) (\d+)\n")
        self._longest_mark = len(f"{MARK}{token} 01234567 255\n")
        self._name = ""  # of the command that runs
        self._directory = directory
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._rest = b""

    def __enter__(self) -> Channel:
        # By the directory's descriptor: the path of a socket has at most 107 bytes (unix(7)).
        handle = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._socket.connect(f"/proc/self/fd/{handle}/{CHANNEL}")
        except OSError as error:
            self._socket.close()
            raise CloudError(f"the machine {self._directory.name} does not run") from error
        finally:
            os.close(handle)
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def fileno(self) -> int:
        """Return the descriptor of the connection, for select(2)."""
        return self._socket.fileno()

    def wait(self, limit: float) -> bool:
        """Wait until the machine answers, at most ``limit`` seconds; say whether it does.

        Raises CloudError when it ends.
        """
        end = time.monotonic() + limit
        self._begin("")
        while time.monotonic() < end:
            if self._status(min(time.monotonic() + ASK_EVERY, end)) is not None:
                return True
            # The same question, so that any answer to it will do.
            self._socket.sendall(f"{self._name}\n".encode())
        return False

    def begin(self, script: str) -> None:
        """Let the machine's shell run ``script``; :meth:`receive` takes what it prints."""
        if len(script.encode()) > LONGEST:
            raise InputError(
                f"the script has {len(script.encode())} bytes; a machine takes {LONGEST}",
                hint="let it fetch the rest, or add a step to the recipe",
            )
        self._begin(base64.b64encode(script.encode()).decode())

    def _begin(self, code: str) -> None:
        self._name = secrets.token_hex(4)
        self._socket.sendall(f"{self._name} {code}\n".encode())

    def run(self, script: str, output: Output, limit: float | None = None) -> int | None:
        """Run a script and give ``output`` what it prints; return its exit status, None after ``limit``
        seconds.

        Raises CloudError when the machine ends.
        """
        self.begin(script)
        return self._status(None if limit is None else time.monotonic() + limit, output)

    def send(self, data: bytes) -> None:
        """Type on the machine's terminal."""
        self._socket.sendall(data)

    def receive(self, output: Output) -> int | None:
        """Take what has come, give it to ``output``, and return the exit status once a script has ended."""
        data = self._socket.recv(1 << 16)
        if not data:
            raise CloudError(f"the machine {self._directory.name} has ended")
        self._rest += data
        while (mark := self._mark.search(self._rest)) is not None:
            output(self._rest[: mark.start()])
            self._rest = self._rest[mark.end() :]
            # An earlier question may be answered now: whoever asked it has gone, or asked again.
            if mark[1].decode() == self._name:
                return int(mark[2])
        # What may be the beginning of a mark waits for the rest.
        at = self._rest.rfind(MARK.encode())
        whole = at if 0 <= len(self._rest) - at < self._longest_mark and at >= 0 else len(self._rest)
        output(self._rest[:whole])
        self._rest = self._rest[whole:]
        return None

    def _status(self, end: float | None, output: Output = lambda _: None) -> int | None:
        while True:
            left = None if end is None else max(0.0, end - time.monotonic())
            if not select.select([self._socket], [], [], left)[0]:
                return None
            status = self.receive(output)
            if status is not None:
                return status
