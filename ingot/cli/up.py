"""``ingot up``: the whole pipeline on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ingot.cli.cloud import use

app = typer.Typer(add_completion=False)
UNFINISHED = (
    "\nNot finished. The local cloud still runs: run the same command to go on, `ingot down` to end it."
)
NEXT = """
What to try next:

  change something in image_recipes/ and run the same command again: clones are replaced, the address keeps
  answering

  eval "$(ingot cloud env)"   let this shell use the local cloud; then:
  ingot status                the load balancer and the clones
  ingot verify fleet          every clone compared with the image's manifest
  ingot down                  stop everything; the images stay in the store"""


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


@app.command()
def up(
    context: Annotated[
        list[str] | None, typer.Option("--context", "-c", help="KEY=VALUE for the CDK app; repeatable.")
    ] = None,
) -> None:
    """Start the local cloud and deploy the project to it, from bootstrap to clones that serve.

    Recipes that have no lock yet are locked, images that are missing are baked, proved and published.
    Prints the URL and the clones.

    Examples: `ingot up`, `ingot up -c env=prod`.
    """
    from ingot.cli.status import show
    from ingot.pipeline.project.up import check_machine, install_cdk
    from ingot.pipeline.project.up import up as run

    project = Path.cwd()
    check_machine()
    install_cdk(project, _say)
    use(_say)
    try:
        deployment = run(project, tuple(context or ()), _say)
    except BaseException:
        _say(UNFINISHED)
        raise
    for status in deployment.fleets:
        show(status)
    _say(NEXT)
