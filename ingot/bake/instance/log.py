"""A builder's log: each line goes to its console and to CloudWatch Logs, numbered, so
that a reader of both takes each once.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from typing import Any, Dict, List, Optional

from ingot.bake.instance.bootstrap import AwsService, RefusedError, UnreachableError, console, log_line

TARGET = "Logs_20140328"
BATCH = 1000  # events of one PutLogEvents; the API takes 10,000 and 1 MiB
DELAY = 1.0  # seconds in which lines are gathered: PutLogEvents is limited to some calls a second
# The console has every line as well: a log that cannot be written must not hold the bake up for long.
ATTEMPTS = 3


class BuilderLog:
    """Takes lines. ``close`` sends what is left to the log."""

    def __init__(self, logs: AwsService, group: str, stream: str) -> None:
        self._logs = logs
        self._names = {"logGroupName": group, "logStreamName": stream}
        self._number = 0
        self._lock = threading.Lock()
        self._waiting: "queue.Queue[Optional[Dict[str, Any]]]" = queue.Queue()
        self._sender = threading.Thread(target=self._send, name="log", daemon=True)
        self._sender.start()

    def __call__(self, stage: str, text: str, **more: Any) -> None:  # noqa: ANN401 - any JSON
        """Write one line."""
        with self._lock:
            self._number += 1
            line = log_line(self._number, stage, text, **more)
            console(line)
        self._waiting.put({"timestamp": int(time.time() * 1000), "message": line})

    def close(self) -> None:
        """Return when every line has been sent, or could not be."""
        self._waiting.put(None)
        self._sender.join()

    def _send(self) -> None:
        try:
            self._call("CreateLogStream", self._names)
        except (RefusedError, UnreachableError) as error:
            console(f"ingot-builder: no log in CloudWatch Logs: {error}")
            return
        ended = False
        while not ended:
            first = self._waiting.get()
            if first is not None:
                time.sleep(DELAY)
            events, ended = self._gather(first)
            if not events:
                continue
            try:
                self._call("PutLogEvents", {**self._names, "logEvents": events})
            except (RefusedError, UnreachableError) as error:
                console(f"ingot-builder: {len(events)} lines did not reach CloudWatch Logs: {error}")

    def _gather(self, event: Optional[Dict[str, Any]]) -> "tuple[List[Dict[str, Any]], bool]":
        events: List[Dict[str, Any]] = []
        while event is not None and len(events) < BATCH:
            events.append(event)
            try:
                event = self._waiting.get_nowait()
            except queue.Empty:
                return events, False
        if event is not None:
            self._waiting.put(event)
        return events, event is None

    def _call(self, operation: str, body: Dict[str, Any]) -> None:
        headers = {"x-amz-target": f"{TARGET}.{operation}", "content-type": "application/x-amz-json-1.1"}
        try:
            self._logs.call("POST", "/", headers, json.dumps(body).encode(), attempts=ATTEMPTS)
        except RefusedError as error:
            if "ResourceAlreadyExistsException" not in error.text:
                raise
