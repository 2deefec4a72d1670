"""``ingot logs``: the journal of a clone, or what its console says where there is no session."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ingot.cli.terminal.printable import printable
from ingot.cli.terminal.results import print_json
from ingot.cli.usage.options import AsJson

app = typer.Typer(add_completion=False)


@app.command()
def logs(
    clone: Annotated[str, typer.Argument(metavar="CLONE", help="The clone's instance id.")],
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many lines.")] = 100,
    unit: Annotated[str | None, typer.Option("--unit", "-u", help="Only of this unit.")] = None,
    errors: Annotated[bool, typer.Option("--errors", help="Only errors.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the end of a clone's journal, by AWS Systems Manager.

    Where a fleet has no Session Manager, and on the local cloud, it prints the end of the clone's console,
    which has the same lines as far as the system writes them there.

    Examples: `ingot logs i-0123456789abcdef0`, `ingot logs i-0123456789abcdef0 --unit nginx.service`,
    `ingot logs i-0123456789abcdef0 --errors`.
    """
    from ingot.aws.session.clients import connect
    from ingot.pipeline.inspection.clones import JournalEnd, journal, journal_lines, require_clone

    require_clone(clone)
    end = JournalEnd(lines, unit, errors)

    def note(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    if as_json:
        print_json(journal_lines(connect(), clone, end, note).as_dict())
        return
    for line in journal(connect(), clone, end, note):
        print(printable(line))
