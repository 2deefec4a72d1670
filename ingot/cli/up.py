"""``ingot up``: the whole pipeline on this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import typer

from ingot.cli.terminal.deployments import print_deployment
from ingot.cli.terminal.reporting import Reporter
from ingot.cli.usage.options import AsJson, Context

app = typer.Typer(add_completion=False)
UNFINISHED = (
    "\nNot finished. The local cloud still runs: run the same command to go on, `ingot down` to end it."
)
NEXT = """
What to try next:

  change something in image_recipes/ and run the same command again:
  the clones are replaced, and the address keeps answering

  eval "$(ingot cloud env)"   let this shell use the local cloud; then:
  ingot status                the load balancer and the clones
  ingot verify fleet          every clone compared with the image's manifest
  ingot down                  stop everything; the images stay in the store"""


@app.command()
def up(
    context: Context = None,
    as_json: AsJson = False,
) -> None:
    """Start the local cloud and deploy the project to it, from bootstrap to clones that serve.

    Recipes that have no lock yet are locked, images that are missing are baked, proved and published.
    Prints the URL and the clones.

    Examples: `ingot up`, `ingot up -c env=prod`.
    """
    from ingot.pipeline.project.up import prepare
    from ingot.pipeline.project.up import up as run

    project = Path.cwd()
    with Reporter() as report:
        prepare(project, os.environ, report)
        try:
            deployment = run(project, tuple(context or ()), report)
        except BaseException:
            report.settle()
            print(UNFINISHED, file=sys.stderr, flush=True)
            raise
    print_deployment(deployment, as_json=as_json)
    if not as_json:
        print(NEXT, file=sys.stderr, flush=True)
