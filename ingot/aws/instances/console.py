"""What a clone says about itself on its serial console, as `ec2:GetConsoleOutput` gives it.

A line is ``KIND 1 JSON CHECKSUM``, the checksum being the first 16 hex digits of the SHA-256 of the JSON's
bytes. A kernel message may tear a line apart or stand before it: a torn line fails its checksum and is passed
over.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import ClientError

from ingot.aws.session.failures import code_of
from ingot.escape import without_sequences

if TYPE_CHECKING:
    from ingot.aws.session.clients import Clients

INVENTORY: Literal["ingot-inventory"] = "ingot-inventory"
IMAGE: Literal["ingot-image"] = "ingot-image"
TEST: Literal["ingot-test"] = "ingot-test"
BUILDER: Literal["ingot-builder"] = "ingot-builder"
# How Linux begins its last words; with EC2's parameters the machine then stays as it is.
PANIC = "Kernel panic - not syncing"


def read_console(clients: Clients, instance_id: str) -> str:
    """Return the newest 64 KiB of an instance's console; "" when there is nothing yet.

    ``Latest`` works on Nitro instances only; on others the console as of the last boot or crash is all there
    is.
    """
    try:
        answer = clients.ec2.get_console_output(InstanceId=instance_id, Latest=True)
    except ClientError as error:
        if code_of(error) not in (
            "UnsupportedOperation",
            "InvalidParameterCombination",
            "InvalidParameterValue",
        ):
            raise
        answer = clients.ec2.get_console_output(InstanceId=instance_id)
    return answer.get("Output", "")


def last_line(console: str, kind: str) -> dict[str, Any] | None:
    """Return the JSON of the last valid line of a kind; None when there is none."""
    return next(_valid(reversed(console.splitlines()), kind), None)


def all_lines(console: str, kind: str) -> list[dict[str, Any]]:
    """Return the JSON of all valid lines of a kind, in their order."""
    return list(_valid(console.splitlines(), kind))


def _valid(lines: Iterable[str], kind: str) -> Iterator[dict[str, Any]]:
    pattern = re.compile(rf"{re.escape(kind)} 1 (\{{.*\}}) ([0-9a-f]{{16}})\b")
    for line in lines:
        found = pattern.search(line)
        if found is None:
            continue
        text, checksum = found.groups()
        # Not UTF-8 on the wire: a byte that got lost, and so a checksum that does not fit.
        if hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16] != checksum:
            continue
        try:
            value = json.loads(text)
        except ValueError:
            continue
        if isinstance(value, dict):
            yield value


def tail(console: str, lines: int = 25) -> str:
    """Return the end of a console for an error message, indented and without control sequences."""
    clean = [without_sequences(line).rstrip() for line in console.splitlines()]
    end = [line for line in clean if line][-lines:]
    return "\n".join("    " + line for line in end) if end else "    (the console is empty)"
