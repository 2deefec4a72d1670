"""The state of an alarm from the data points of its metric.

Source: CloudWatch user guide, "Alarm evaluation" and "Configuring how CloudWatch alarms treat missing data".
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

OK, ALARM, INSUFFICIENT = "OK", "ALARM", "INSUFFICIENT_DATA"
# "CloudWatch attempts to retrieve a higher number of data points than the number specified as Evaluation
# Periods": in the examples of the user guide, five for three.
BEYOND = 2
COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}


@dataclass(frozen=True)
class Rule:
    """``datapoints`` out of ``periods`` must breach; ``missing``: missing, ignore, breaching or
    notBreaching."""

    periods: int
    datapoints: int
    missing: str = "missing"

    @property
    def range(self) -> int:
        """How many data points are looked at."""
        return self.periods + BEYOND


def evaluate(points: Sequence[bool | None], rule: Rule, current: str) -> str:
    """Return the state. ``points``: whether each breaches, None where it is missing; the oldest first."""
    points = points[-rule.range :]
    real = [point for point in points if point is not None][-rule.periods :]
    breaching, filled = sum(real), rule.periods - len(real)
    if rule.missing == "breaching":
        return ALARM if breaching + filled >= rule.datapoints else OK
    if rule.missing == "notBreaching":
        return ALARM if breaching >= rule.datapoints else OK
    if breaching >= rule.datapoints:
        return ALARM
    if not real:
        return INSUFFICIENT if rule.missing == "missing" else current
    if breaching < len(real):
        return OK
    # All that is known breaches, but it is too little: "a premature alarm state" is what the oldest tells.
    oldest = len(points) - next(number for number, point in enumerate(points) if point is not None)
    return ALARM if rule.missing == "missing" and oldest >= rule.datapoints else current


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value below or at which ``percent`` of the values are."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def enough_samples(count: int, percent: float) -> bool:
    """Say whether a percentile of so many samples means something.

    "Percentiles-based alarms and low data samples": 10/(1-percentile) above the median, 10/percentile below.
    """
    share = percent / 100
    rest = 1 - share if share > 0.5 else share
    return rest > 0 and count >= 10 / rest
