"""A shell in a clone, and its journal, by AWS Systems Manager: its own programs keep the session."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from ingot.errors import IngotError, InputError, MissingToolError
from ingot.escape import without_sequences
from ingot.pipeline.inspection.shell import script_of
from ingot.process import require, run, run_attached
from ingot.progress import Progress

if TYPE_CHECKING:
    from ingot.aws.session.clients import Clients

# The AWS CLI hands the session to this program (Systems Manager user guide, "Install the Session Manager
# plugin for the AWS CLI").
PLUGIN = "session-manager-plugin"
# Runs a command and prints what it prints (Systems Manager user guide, "Starting a session (non-interactive
# commands)").
COMMAND_DOCUMENT = "AWS-StartNonInteractiveCommand"
# What the plugin prints around a session's own output, whatever the document (sessionmanagerplugin/session).
_OF_PLUGIN = ("Starting session with SessionId: ", "Exiting session with sessionId: ")

_NO_SESSION = "no session could be opened: this is the clone's console"

_CLONE = re.compile(r"i-(?:[0-9a-f]{8}|[0-9a-f]{17})")


def is_clone(word: str) -> bool:
    """Whether a word is an instance id: 17 hex digits, 8 in old ones (EC2 user guide, "Resource IDs")."""
    return _CLONE.fullmatch(word) is not None


def require_clone(word: str) -> None:
    """Raise InputError for a word that is no instance id."""
    if not is_clone(word):
        raise InputError(
            f"{word!r} is not an instance id", hint="`ingot status` lists the clones and their ids"
        )


def session(clients: Clients, instance_id: str, words: Sequence[str] = ()) -> int:
    """Open a shell in a clone, or run a command there, on the caller's terminal; return the exit status.

    Raises as :func:`require_sessions`.
    """
    require_sessions(clients)
    return run_attached(_session_command(clients, instance_id, words))


def _session_command(clients: Clients, instance_id: str, words: Sequence[str]) -> list[str]:
    command = ["aws", "ssm", "start-session", "--region", clients.region, "--target", instance_id]
    if words:
        parameters = json.dumps({"command": [script_of(words)]})
        command += ["--document-name", COMMAND_DOCUMENT, "--parameters", parameters]
    return command


def require_sessions(clients: Clients) -> None:
    """Raise unless this machine can open sessions: MissingToolError, or IngotError on the local cloud."""
    if clients.on_this_machine:
        raise IngotError(
            "the local cloud has no Session Manager",
            hint="`ingot shell NAME` opens a shell in a copy of the clone's image, `ingot console CLONE` "
            "prints what the clone said",
        )
    for tool, guide in (("aws", "AWS CLI"), (PLUGIN, "Session Manager plugin")):
        try:
            require(tool, needed_for="open sessions of AWS Systems Manager")
        except MissingToolError as error:
            raise error.with_hint(f"install the {guide} as the AWS documentation says") from error


@dataclass(frozen=True)
class JournalEnd:
    """Which part of a clone's journal: so many of the last ``lines``, of a ``unit``, or ``errors`` alone."""

    lines: int
    unit: str | None = None
    errors: bool = False

    def command(self) -> list[str]:
        """Return the command that prints it."""
        words = ["journalctl", "--boot", "--no-pager", "--output=short-iso", f"--lines={self.lines}"]
        words += [f"--unit={self.unit}"] if self.unit is not None else []
        return [*words, "--priority=err"] if self.errors else words

    def of_console(self, console: str) -> list[str]:
        """Return the end of a console, as near to that of the journal as it comes: the lines that name the
        unit, or that tell of failures.
        """
        lines = [line.rstrip() for line in without_sequences(console).splitlines()]
        if self.unit is not None:
            lines = [line for line in lines if self.unit.removesuffix(".service") in line]
        if self.errors:
            lines = [line for line in lines if re.search(r"(?i)fail|error|panic|denied", line)]
        return [line for line in lines if line][-self.lines :]


@dataclass(frozen=True)
class JournalLines:
    """Lines of a clone: of its journal, or of its console where no session is possible."""

    clone: str
    source: Literal["journal", "console"]
    lines: list[str]

    def as_dict(self) -> dict[str, Any]:
        """Return it as the JSON document of `ingot logs`."""
        return asdict(self)


def journal(clients: Clients, clone: str, end: JournalEnd, progress: Progress) -> list[str]:
    """Print the end of a clone's journal in a session, on the caller's terminal; return what is left to say.

    Where no session is possible, that is reported, and the end of the clone's console is returned instead.
    Raises IngotError for AWS's refusals.
    """
    if _has_sessions(clients, progress):
        if session(clients, clone, end.command()) == 0:
            return []
        progress(_NO_SESSION)
    return _console_lines(clients, clone, end)


def journal_lines(clients: Clients, clone: str, end: JournalEnd, progress: Progress) -> JournalLines:
    """Return the end of a clone's journal, and print nothing; otherwise as :func:`journal`."""
    if _has_sessions(clients, progress):
        ended = run(_session_command(clients, clone, end.command()), check=False)
        if ended.returncode == 0:
            lines = [line.rstrip() for line in without_sequences(ended.stdout).splitlines()]
            own = [line for line in lines if line and not line.startswith(_OF_PLUGIN)]
            return JournalLines(clone, "journal", own)
        progress(_NO_SESSION)
    return JournalLines(clone, "console", _console_lines(clients, clone, end))


def _has_sessions(clients: Clients, progress: Progress) -> bool:
    try:
        require_sessions(clients)
    except IngotError as error:
        progress(f"{error.message}: this is the clone's console")
        return False
    return True


def _console_lines(clients: Clients, clone: str, end: JournalEnd) -> list[str]:
    from ingot.aws.instances.console import read_console
    from ingot.aws.session.failures import translated

    with translated():
        return end.of_console(read_console(clients, clone))
