"""An instance refresh's preferences.

Their defaults ("Instance refresh default values") and what contradicts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moto.autoscaling.exceptions import AutoscalingClientError

DEFAULTS = {
    "MinHealthyPercentage": 90, "MaxHealthyPercentage": 100, "SkipMatching": False, "AutoRollback": False,
    "ScaleInProtectedInstances": "Wait", "StandbyInstances": "Wait", "BakeTime": 0,
}  # fmt: skip
# Those of CloudFormation's UpdatePolicy are others: CloudFormation template reference,
# "AutoScalingInstanceRefresh policy".
POLICY_DEFAULTS = {"MinHealthyPercentage": 100, "MaxHealthyPercentage": 110, "SkipMatching": True}


def alarms_of(preferences: Mapping[str, Any]) -> list[str]:
    """Return the names of the CloudWatch alarms that a refresh watches."""
    return list((preferences.get("AlarmSpecification") or {}).get("Alarms") or [])


def check_alarms(states: Mapping[str, str]) -> None:
    """Raise AutoscalingClientError (ValidationError) unless every alarm is OK.

    "If the alarm state is INSUFFICIENT_DATA or ALARM, you receive an error when you try to start the instance
    refresh" (Amazon EC2 Auto Scaling user guide, "Start an instance refresh with auto rollback").
    """
    unfit = [f"{name} ({state})" for name, state in states.items() if state != "OK"]
    if unfit:
        raise AutoscalingClientError(
            "ValidationError",
            f"An instance refresh cannot start while its alarms are not OK: {', '.join(unfit)}",
        )


def check_preferences(preferences: Mapping[str, Any], desired: Mapping[str, Any] | None) -> None:
    """Raise AutoscalingClientError (ValidationError) for preferences that contradict each other."""
    low, high = int(preferences["MinHealthyPercentage"]), int(preferences["MaxHealthyPercentage"])
    problem = None
    if not 0 <= low <= 100:
        problem = f"MinHealthyPercentage must be between 0 and 100, not {low}"
    elif not 100 <= high <= 200:
        problem = f"MaxHealthyPercentage must be between 100 and 200, not {high}"
    elif high - low > 100:
        problem = (
            "The difference between MaxHealthyPercentage and MinHealthyPercentage cannot be greater than 100"
        )
    version = str(((desired or {}).get("LaunchTemplate") or {}).get("Version", ""))
    if problem is None and preferences["AutoRollback"] and not version.isdigit():
        problem = "AutoRollback needs a desired configuration with a numbered launch template version"
    percentages = [int(percent) for percent in preferences.get("CheckpointPercentages") or []]
    if problem is None and percentages != sorted(set(percentages)):
        problem = "CheckpointPercentages must be in ascending order"
    if problem is not None:
        raise AutoscalingClientError("ValidationError", problem)
