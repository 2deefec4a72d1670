"""Following a builder: its numbered lines in CloudWatch Logs and on its console, until it is done or dead."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from ingot.aws.builder.settings import BuilderSettings
from ingot.aws.instances import console
from ingot.aws.instances.launch import instance_state
from ingot.aws.session.failures import DENIED, AwsError, code_of, is_missing
from ingot.aws.session.waiting import wait_until
from ingot.errors import PublishError
from ingot.progress import Progress
from ingot.retry import now

if TYPE_CHECKING:
    from ingot.aws.session.clients import Clients

# Seconds between two looks at the log, and at the console: EC2 throttles GetConsoleOutput earlier than most
# calls.
LOOK_EVERY = 2.0
CONSOLE_EVERY = 10.0
END = ("done", "failed")
ENDED = ("stopping", "stopped", "shutting-down", "terminated")


@dataclass
class BuilderWatch:
    """What is known of a builder. ``lines``: what it said, by number."""

    clients: Clients
    instance_id: str
    settings: BuilderSettings
    progress: Progress
    lines: dict[int, dict[str, Any]] = field(default_factory=dict)
    console_text: str = ""
    state: str = "pending"
    reason: str = ""
    _token: str | None = None
    _heard: float = field(default_factory=now)
    _console_read: float = -CONSOLE_EVERY

    @property
    def last(self) -> dict[str, Any]:
        """The builder's last line so far; empty when it has not said a word."""
        return self.lines[max(self.lines)] if self.lines else {}

    def follow(self) -> dict[str, Any]:
        """Wait for the builder's end, passing its lines on; return the line that says that it is done.

        Raises PublishError with the end of its log: it failed, it died, it never reported, or it fell silent.
        """
        try:
            wait_until(self._over, "the builder's end", limit=self.settings.limit, longest=LOOK_EVERY)
        except TimeoutError as error:
            raise self._failure(f"the builder {self.instance_id} is not done: {error}") from error
        if self.last.get("stage") == "done":
            return self.last
        if self.last.get("stage") == "failed":
            raise self._failure(
                f"the builder {self.instance_id} failed: {self.last.get('text')}", self.last.get("hint")
            )
        why = f" ({self.reason})" if self.reason else ""
        at = f" in {self.last['stage']}" if self.lines else " before it said a word"
        raise self._failure(f"the builder {self.instance_id} is {self.state}{why}; it ended{at}")

    def _over(self) -> bool:
        """Look; say whether there is nothing more to wait for.

        Raises PublishError for one that is silent too long.
        """
        self.state, self.reason = instance_state(self.clients, self.instance_id)
        # Read after the state: a builder that ended may have written its last line just before.
        ended = self.state in ENDED
        self._read_log()
        if ended or now() - self._console_read > CONSOLE_EVERY:
            self._console_read = now()
            self.console_text = console.read_console(self.clients, self.instance_id) or self.console_text
            for line in console.all_lines(self.console_text, console.BUILDER):
                self._take(line)
        if ended or self.last.get("stage") in END:
            return True
        self._check_silence()
        return False

    def _check_silence(self) -> None:
        silent = now() - self._heard
        if not self.lines and silent > self.settings.boot_limit:
            raise self._failure(
                f"the builder {self.instance_id} never reported within {self.settings.boot_limit:.0f} s",
                "does its image run user data (cloud-init) and have python3? "
                "does its subnet lead to S3 and to CloudWatch Logs?",
            )
        if silent > self.settings.silence_limit:
            raise self._failure(f"the builder {self.instance_id} has been silent for {silent:.0f} s")

    def _read_log(self) -> None:
        while True:
            request: dict[str, Any] = {
                "logGroupName": self.settings.log_group,
                "logStreamName": self.instance_id,
                "startFromHead": True,
            }
            if self._token is not None:
                request["nextToken"] = self._token
            try:
                answer = self.clients.logs.get_log_events(**request)
            except ClientError as error:
                # No stream yet, or no right to read it: the console has the same lines, only a little later.
                if is_missing(error) or code_of(error) in (*DENIED, "ResourceNotFoundException"):
                    return
                raise
            for event in answer["events"]:
                for line in console.all_lines(event.get("message", ""), console.BUILDER):
                    self._take(line)
            if answer["nextForwardToken"] == self._token or not answer["events"]:
                return
            self._token = answer["nextForwardToken"]

    def _take(self, line: dict[str, Any]) -> None:
        number = line.get("n")
        if not isinstance(number, int) or number in self.lines:
            return
        self.lines[number] = line
        self._heard = now()
        self.progress(f"builder: {line.get('stage')}: {line.get('text')}")

    def _failure(self, message: str, hint: str | None = None) -> PublishError:
        self.console_text = self.console_text or _console(self.clients, self.instance_id)
        lines = [f"    {line.get('stage')}: {line.get('text')}" for _, line in sorted(self.lines.items())]
        end = "\n".join(lines[-15:]) if lines else console.tail(self.console_text)
        what = "log" if lines else "console"
        return PublishError(f"{message}\n  the end of its {what}:\n{end}", hint=hint)


def _console(clients: Clients, instance_id: str) -> str:
    try:
        return console.read_console(clients, instance_id)
    except AwsError:
        return ""  # the failure that is being reported matters more
