"""Other deployments of the same app, here or in AWS: one at a time, and each waits for what an earlier one
left running.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ingot import paths
from ingot.errors import IngotError
from ingot.locks import try_locked
from ingot.progress import Progress

if TYPE_CHECKING:
    from ingot.aws.session.clients import Clients

# Seconds. CloudFormation gives an instance refresh an hour at most, and rolls back as long again.
LIMIT = 7200.0
LONGEST_PAUSE = 5.0


class InterruptedDeploymentError(IngotError):
    """The caller ended the CDK CLI; what CloudFormation does goes on."""

    exit_code = 130

    def __init__(self) -> None:
        super().__init__(
            "interrupted",
            hint="AWS continues a deployment that has begun; `ingot status` shows the fleet, "
            "and the next `ingot deploy` waits for it",
        )


@contextmanager
def alone(app: Path) -> Iterator[None]:
    """Hold the lock of the app in directory ``app``; raise IngotError with the process that has it.

    The lock file is not in the app's own directory, where Git would see it.
    """
    digest = hashlib.sha256(str(app.resolve()).encode()).hexdigest()[:16]
    file = paths.home() / "deploying" / f"{digest}.lock"
    with try_locked(file) as held:
        if not held:
            raise IngotError(
                f"another deployment of this app runs (process {file.read_text().strip()}); wait for it"
            )
        file.write_text(str(os.getpid()))
        yield


def wait_settled(
    clients: Clients, stacks: tuple[str, ...], *, progress: Progress, limit: float = LIMIT
) -> None:
    """Wait until CloudFormation changes none of these stacks; raise IngotError when it still does after
    ``limit`` s.
    """
    from ingot.aws.session.stacks import stack_status
    from ingot.aws.session.waiting import wait_until

    for name in stacks:
        reported = ""

        def settled(name: str = name) -> bool:
            nonlocal reported
            status = stack_status(clients, name) or ""
            # A stack in review has a change set and nothing else: it waits for a deployment.
            if not status.endswith("_IN_PROGRESS") or status == "REVIEW_IN_PROGRESS":
                return True
            if status != reported:
                reported = status
                progress(f"the stack {name} is in {status}: an earlier deployment still runs; waiting for it")
            return False

        try:
            wait_until(settled, f"the stack {name}", limit=limit, longest=LONGEST_PAUSE)
        except TimeoutError as error:
            raise IngotError(f"the stack {name} is still in {reported} after {limit:.0f} s") from error
