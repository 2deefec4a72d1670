"""Following a roll-out: the refreshes while CloudFormation waits for them, then until the fleet is steady.

The CDK CLI waits for CloudFormation, which says nothing of instance refreshes for minutes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ingot.progress import Progress, beat

if TYPE_CHECKING:
    from ingot.aws.session.clients import Clients
    from ingot.fleet.status import FleetStatus

# Seconds. CloudFormation has waited for the refresh already; what is left is health checks, at the longest a
# replaced clone's boot.
LIMIT = 900.0
LONGEST_PAUSE = 5.0
PAUSE = 5.0  # seconds between two looks: some calls each, which AWS counts against the account's rate


@contextmanager
def refreshes_reported(
    clients: Clients, stacks: tuple[str, ...], progress: Progress, *, pause: float = PAUSE
) -> Iterator[None]:
    """Report the refreshes of these stacks' fleets until the block ends.

    Stacks without a fleet are passed over.
    """
    ended = threading.Event()

    def watch() -> None:
        last: dict[str, str] = {}
        while not ended.wait(pause):
            for stack in stacks:
                line = _line(clients, stack)
                if line is not None and line != last.get(stack):
                    last[stack] = line
                    beat(progress, line)

    # A daemon: a look that hangs must not keep an interrupted deployment from its end.
    thread = threading.Thread(target=watch, name="roll-out", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(pause)


def _line(clients: Clients, stack: str) -> str | None:
    """Return what a fleet's refresh does; None when there is none, or it cannot be seen now."""
    from ingot.aws.session.failures import AwsError
    from ingot.errors import IngotError
    from ingot.fleet.status import fleet_status

    try:
        status = fleet_status(clients, stack)
    except (IngotError, *AwsError):
        # No fleet yet, or not to be seen: the deployment goes on, and the CDK CLI reports its failures.
        return None
    return refresh_line(status)


def refresh_line(status: FleetStatus) -> str | None:
    """Return in one line what a fleet's refresh does; None when none runs."""
    if status.refresh is None or not status.refresh.running:
        return None
    return (
        f"{status.stack}: refresh {status.refresh.status}, {status.refresh.percentage} %; {_clones(status)}"
    )


def _clones(status: FleetStatus) -> str:
    new = [clone for clone in status.clones if clone.version == status.version]
    serving = sum(clone.serves for clone in new)
    waiting = ", ".join(
        f"{clone.instance_id} {clone.health if clone.lifecycle == 'InService' else clone.lifecycle}"
        for clone in new
        if not clone.serves
    )
    return f"{serving} of {status.desired} new clones serve" + (f"; {waiting}" if waiting else "")


def wait_steady(
    clients: Clients,
    stack: str,
    *,
    progress: Progress,
    limit: float = LIMIT,
) -> FleetStatus:
    """Wait until the fleet is steady and return its status.

    Raises IngotError with the reasons when it is not in ``limit`` s.
    """
    from ingot.aws.session.waiting import wait_until
    from ingot.errors import IngotError
    from ingot.fleet.status import fleet_status

    status = fleet_status(clients, stack)
    reported = ""

    def steady() -> bool:
        nonlocal status, reported
        status = fleet_status(clients, stack)
        reasons = "; ".join(status.reasons())
        if reasons and reasons != reported:
            reported = reasons
            beat(progress, f"waiting for the fleet: {reasons}")
        return not reasons

    try:
        wait_until(steady, f"the fleet of {stack}", limit=limit, longest=LONGEST_PAUSE)
    except TimeoutError as error:
        reasons = "\n".join(f"  {reason}" for reason in status.reasons())
        refresh = status.refresh
        why = f"\n  the last refresh {refresh.status}: {refresh.reason}" if refresh and refresh.reason else ""
        raise IngotError(f"the fleet of {stack} did not settle in {limit:.0f} s:\n{reasons}{why}") from error
    return status
