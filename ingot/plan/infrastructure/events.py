"""What the CDK CLI prints of a deployment, folded: one line for each stack, and everything that failed."""

from __future__ import annotations

import re
from collections.abc import Iterator

# As `--progress events` prints them: stack, resources done and in all, time, status, type, name and reason.
_EVENT = re.compile(
    r"(?P<stack>\S+) +\| +(?P<done>\d+)/(?P<all>\d+) +\| [^|]+\| (?P<status>[A-Z_]+) +\| (?P<type>\S+) +\| .*"
)
# What says nothing that is not said elsewhere: assets, times, and the outputs, which follow at the end.
_NOISE = re.compile(
    r"\S+: (start|success): (Building|Built|Publishing|Published) .*|✨ .*|Stack ARN:|arn:\S+"
)
_OUTPUT = re.compile(r"\S+\.\S+ = .*")


class Folding:
    """Folds the lines of one run of ``cdk deploy`` or ``cdk bootstrap``, each as it comes."""

    def __init__(self) -> None:
        self._outputs = False

    def fold(self, line: str) -> Iterator[str]:
        """Yield what to show for a line: nothing, or one line."""
        line = line.rstrip()
        if line == "Outputs:":
            self._outputs = True
            return
        if self._outputs and _OUTPUT.fullmatch(line):
            return
        self._outputs = False
        event = _EVENT.fullmatch(line)
        if event is not None:
            yield from _of_event(event)
        elif line and not _NOISE.fullmatch(line.strip()):
            yield line.strip()


def _of_event(event: re.Match[str]) -> Iterator[str]:
    status = event["status"]
    if status.endswith("_FAILED"):
        yield event.group().rstrip()
    elif event["type"] == "AWS::CloudFormation::Stack":
        if "ROLLBACK" in status:
            yield event.group().rstrip()
        elif status.endswith("_COMPLETE") and "CLEANUP" not in status:
            yield f"{event['stack']}: {event['all']} resources, {_WORDS.get(status, status)}"


_WORDS = {"CREATE_COMPLETE": "created", "UPDATE_COMPLETE": "up to date", "DELETE_COMPLETE": "deleted"}
