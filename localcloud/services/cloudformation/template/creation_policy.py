"""The attribute CreationPolicy: how many signals a resource waits for, and how long.

Source: "CreationPolicy attribute", CloudFormation template reference.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from localcloud.services.cloudformation.errors import CfnError

DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")
DEFAULT_TIMEOUT = "PT5M"


@dataclass(frozen=True)
class Policy:
    """A creation policy: ``count`` signals within ``seconds``, of which ``percent`` % must be successes."""

    count: int
    seconds: float
    percent: float

    @property
    def needed(self) -> int:
        """How many signals must be successes."""
        return math.ceil(self.count * self.percent / 100)


def policy_of(given: Mapping[str, Any]) -> Policy | None:
    """Return the policy that a CreationPolicy attribute describes, or None when it asks for no signals."""
    signal = given.get("ResourceSignal")
    if signal is None:
        return None
    instances = given.get("AutoScalingCreationPolicy") or {}
    timeout = str(signal.get("Timeout", DEFAULT_TIMEOUT))
    try:
        count = int(signal.get("Count", 1))
        percent = float(instances.get("MinSuccessfulInstancesPercent", 100))
    except (TypeError, ValueError) as error:
        raise CfnError(f"Invalid CreationPolicy: {error}") from error
    return Policy(count, seconds_of(timeout), percent)


def seconds_of(duration: str) -> float:
    """Return the seconds of an ISO 8601 duration such as PT1H30M; raises CfnError for any other text."""
    match = DURATION.fullmatch(duration)
    if match is None or not any(match.groups()):
        raise CfnError(
            f"Invalid CreationPolicy: Timeout {duration} is not an ISO 8601 duration such as PT15M"
        )
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
