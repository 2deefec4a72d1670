"""Waiting until the fleet has settled: every clone newest and serving, no refresh running."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingot.aws.session.waiting import wait_until
from ingot.errors import IngotError
from ingot.fleet.status import FleetStatus, fleet_status
from ingot.progress import Progress

if TYPE_CHECKING:
    from ingot.aws.session.clients import Clients

# Seconds. CloudFormation has waited for the refresh already; what is left is health checks, at the longest a replaced clone's boot.
LIMIT = 900.0
LONGEST_PAUSE = 5.0


def wait_steady(
    clients: Clients,
    stack: str,
    *,
    progress: Progress,
    limit: float = LIMIT,
) -> FleetStatus:
    """Wait until the fleet is steady and return its status; raises IngotError with the reasons when it is not in ``limit`` s."""
    status = fleet_status(clients, stack)
    told = ""

    def steady() -> bool:
        nonlocal status, told
        status = fleet_status(clients, stack)
        reasons = "; ".join(status.reasons())
        if reasons and reasons != told:
            told = reasons
            progress(f"waiting for the fleet: {reasons}")
        return not reasons

    try:
        wait_until(steady, f"the fleet of {stack}", limit=limit, longest=LONGEST_PAUSE)
    except TimeoutError as error:
        reasons = "\n".join(f"  {reason}" for reason in status.reasons())
        refresh = status.refresh
        why = f"\n  the last refresh {refresh.status}: {refresh.reason}" if refresh and refresh.reason else ""
        raise IngotError(f"the fleet of {stack} did not settle in {limit:.0f} s:\n{reasons}{why}") from error
    return status
