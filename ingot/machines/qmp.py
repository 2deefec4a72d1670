"""QEMU's monitor protocol (QMP, docs/interop/qmp-spec in QEMU's manual) on a connected socket."""

from __future__ import annotations

import json
import queue
import socket
import threading
from collections.abc import Callable
from typing import Any

from ingot.errors import CloudError

Value = Any  # JSON

ANSWER_TIMEOUT = (
    30.0  # seconds; QEMU answers in milliseconds, but under TCG on a busy machine it may be starved
)


class Monitor:
    """A conversation with one QEMU. A thread of its own reads it until QEMU is gone.

    ``on_event`` gets the name and the data of each event; ``on_end`` is called once when QEMU has closed its
    end.
    """

    def __init__(
        self,
        connection: socket.socket,
        *,
        on_event: Callable[[str, dict[str, Any]], None],
        on_end: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._on_event = on_event
        self._on_end = on_end
        self._answers: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._read, name="qmp", daemon=True)

    def start(self) -> None:
        """Wait for QEMU's greeting and take up the conversation; raises CloudError when QEMU ends instead."""
        self._thread.start()
        self._take()  # the greeting
        self.command("qmp_capabilities")

    def command(self, name: str, **arguments: Value) -> Value:
        """Run a command and return what it returns; raises CloudError when it fails or QEMU is gone."""
        with self._lock:
            message = json.dumps({"execute": name, "arguments": arguments}).encode()
            try:
                self._connection.sendall(message)
            except OSError as error:
                raise CloudError(f"the machine's process is gone, {name} cannot reach it") from error
            answer = self._take()
        if "error" in answer:
            raise CloudError(f"{name}: {answer['error'].get('desc', answer['error'])}")
        return answer.get("return")

    def human(self, line: str) -> str:
        """Run a line of the human monitor and return what it prints (nothing when it went well)."""
        return str(self.command("human-monitor-command", **{"command-line": line})).strip()

    def _take(self) -> dict[str, Any]:
        try:
            answer = self._answers.get(timeout=ANSWER_TIMEOUT)
        except queue.Empty as error:
            raise CloudError(f"the machine's process did not answer within {ANSWER_TIMEOUT:.0f} s") from error
        if answer is None:
            self._answers.put(None)  # for whoever asks next
            raise CloudError("the machine's process has ended")
        return answer

    def _read(self) -> None:
        try:
            with self._connection.makefile("rb") as lines:
                for line in lines:
                    message = json.loads(line)
                    if "event" in message:
                        self._on_event(message["event"], message.get("data", {}))
                    else:
                        self._answers.put(message)
        except (OSError, ValueError):  # reset or cut off in the middle of a line: QEMU was killed
            pass
        finally:
            self._answers.put(None)
            self._connection.close()
            self._on_end()
