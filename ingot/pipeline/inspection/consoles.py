"""The serial console of a clone, or of a machine that was booted alone: as it is, and what comes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ingot.pipeline.inspection import machines
from ingot.pipeline.inspection.clones import is_clone

PAUSE = 0.5  # seconds between two looks at a file of this machine
AWS_PAUSE = 5.0  # and between two calls, which AWS counts against the account's rate


@dataclass(frozen=True)
class SerialConsole:
    """A console. ``read`` returns what it holds; ``pause``: seconds between two looks at it."""

    read: Callable[[], str]
    pause: float

    def follow(self) -> Iterator[str]:
        """Yield what it holds, and then without end what comes."""
        text = self.read()
        yield text
        while True:
            time.sleep(self.pause)
            before, text = text, self.read()
            new = added(before, text)
            if new:
                yield new


def console_of(target: str) -> SerialConsole:
    """Return the console of a machine on this computer, by its id, recipe or digest, or of a clone.

    Raises InputError when there is none; reading a clone's raises IngotError for AWS's refusals.
    """
    machine = machines.find(target)
    if machine is None and not is_clone(target):
        machine = machines.require(target)
    if machine is not None:
        return SerialConsole(machine.said, PAUSE)
    from ingot.aws.instances.console import read_console
    from ingot.aws.session.clients import connect
    from ingot.aws.session.failures import translated

    clients = connect()

    def read() -> str:
        with translated():
            return read_console(clients, target)

    return SerialConsole(read, AWS_PAUSE)


def added(before: str, now: str) -> str:
    """Return what came after ``before``, of which ``now`` may have lost the beginning."""
    if now.startswith(before):
        return now[len(before) :]
    end = before[-200:]
    at = now.rfind(end)
    return now if at < 0 else now[at + len(end) :]
