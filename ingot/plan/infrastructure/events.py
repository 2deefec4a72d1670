"""What the CDK CLI prints of a deployment, folded: one line for each stack, and everything that failed."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator

from ingot.quantities import elapsed

# As `--progress events` prints them: stack, resources done and in all, time, status, type, name and reason.
_EVENT = re.compile(
    r"(?P<stack>\S+) +\| +(?P<done>\d+)/(?P<all>\d+) +\| [^|]+\| (?P<status>[A-Z_]+) +\| (?P<type>\S+) +\| .*"
)
# What says nothing that is not said elsewhere: assets, times, and the outputs, which follow at the end.
_NOISE = re.compile(
    r"\S+: (start|success): (Building|Built|Publishing|Published) .*|✨ .*|Stack ARN:|arn:\S+"
    # The name of a stack alone, before and after what is said of it.
    r"|[\w/-]+( \([\w-]+\))?|✅  [\w-]+|\S+: deploying\.\.\. \[\d+/\d+\]"
    # What `cdk bootstrap` says of every account.
    r"|⏳  Bootstrapping environment .*|✅  Environment .*|Trusted accounts for \w+: \(none\)"
    r"|Using default execution policy of .*"
)
_UNCHANGED = re.compile(r"✅  (?P<stack>\S+) \(no changes\)")
_OUTPUT = re.compile(r"\S+\.\S+ = .*")


class Folding:
    """Folds the lines of one run of ``cdk deploy`` or ``cdk bootstrap``, each as it comes.

    ``clock`` gives seconds; ``advanced`` is told how many resources of a stack are done, and of how many.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        advanced: Callable[[int, int], object] = lambda _done, _all: None,
    ) -> None:
        self._advanced = advanced
        self._outputs = False
        self._clock = clock
        self._begun: dict[str, float] = {}

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
            self._advanced(int(event["done"]), int(event["all"]))
            began = self._begun.setdefault(event["stack"], self._clock())
            yield from _of_event(event, self._clock() - began)
        elif unchanged := _UNCHANGED.fullmatch(line.strip()):
            yield f"{unchanged['stack']}: no changes"
        elif line and not _NOISE.fullmatch(line.strip()):
            yield line.strip()


def _of_event(event: re.Match[str], seconds: float) -> Iterator[str]:
    status = event["status"]
    if status.endswith("_FAILED"):
        yield event.group().rstrip()
    elif event["type"] == "AWS::CloudFormation::Stack":
        if "ROLLBACK" in status:
            yield event.group().rstrip()
        elif status.endswith("_COMPLETE") and "CLEANUP" not in status:
            said = _WORDS.get(status, status)
            yield f"{event['stack']}: {event['all']} resources, {said} in {elapsed(seconds)}"


_WORDS = {"CREATE_COMPLETE": "created", "UPDATE_COMPLETE": "up to date", "DELETE_COMPLETE": "deleted"}
