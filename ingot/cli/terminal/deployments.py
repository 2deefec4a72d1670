"""What a deployment did, on a terminal: where the time went, and the fleets."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ingot.cli.terminal.reporting import quiet
from ingot.cli.terminal.results import print_json

if TYPE_CHECKING:
    from ingot.pipeline.deploy import Deployment


def print_deployment(deployment: Deployment, *, as_json: bool) -> None:
    """Print where the time went on stderr, and the fleets on stdout."""
    from ingot.cli.terminal.fleets import show
    from ingot.pipeline.phases import breakdown

    if not quiet():
        print(f"\nWhere the time went:\n{breakdown(deployment.phases)}\n", file=sys.stderr, flush=True)
    if as_json:
        print_json([status.as_dict() for status in deployment.fleets])
        return
    for status in deployment.fleets:
        show(status)
