"""What a deployment did, on a terminal: where the time went, and the fleets."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ingot.cli.terminal.reporting import quiet
from ingot.cli.terminal.results import print_json

if TYPE_CHECKING:
    from ingot.pipeline.deploy import Deployment


def print_deployment(deployment: Deployment, *, as_json: bool) -> None:
    """Print where the time went on stderr, and the fleets on stdout, with the verdicts on their clones if
    there are any.
    """
    from ingot.cli.terminal.fleets import show
    from ingot.cli.terminal.verdicts import fleet_lines, fleet_summary
    from ingot.pipeline.phases import breakdown

    if not quiet():
        print(f"\nWhere the time went:\n{breakdown(deployment.phases)}\n", file=sys.stderr, flush=True)
    if as_json:
        verdicts = {verdict.stack: {"verdict": verdict.as_dict()} for verdict in deployment.verdicts}
        print_json([{**status.as_dict(), **verdicts.get(status.stack, {})} for status in deployment.fleets])
    else:
        for status in deployment.fleets:
            show(status)
        for verdict in deployment.verdicts:
            print("\n".join(fleet_lines(verdict)))
    for verdict in deployment.verdicts:
        print(f"{verdict.stack}: {fleet_summary(verdict)}", file=sys.stderr)
