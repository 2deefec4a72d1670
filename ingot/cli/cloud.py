"""``ingot cloud``: start, stop and use the local cloud, which is a distribution of its own."""

from __future__ import annotations

from typing import Annotated

import typer

from ingot.cli.usage.mistakes import CommandGroup
from ingot.cli.usage.options import AsJson
from ingot.pipeline.project.cloud import PROGRAM, require_local_cloud

app = typer.Typer(cls=CommandGroup, add_completion=False, help="Start, stop and use the local cloud.")


@app.callback()
def _installed() -> None:
    require_local_cloud()


@app.command()
def up(
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, envvar="INGOT_CLOUD_PORT", help="Port on 127.0.0.1.", show_default="5566"
        ),
    ] = None,
    with_parent: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="PID", envvar="INGOT_CLOUD_PARENT", help="End the cloud when this process ends."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Start the local cloud and wait until it answers; do nothing when it runs.

    Examples: `ingot cloud up`.
    """
    from localcloud import cli

    cli.up(port, parent=with_parent, program=PROGRAM, as_json=as_json)


@app.command()
def down(as_json: AsJson = False) -> None:
    """End the local cloud and all its machines. Images stay in the store.

    Examples: `ingot cloud down`.
    """
    from localcloud import cli

    cli.down(as_json)


@app.command()
def status(as_json: AsJson = False) -> None:
    """Say whether the local cloud runs; exit code 1 when it does not.

    Examples: `ingot cloud status`.
    """
    from localcloud import cli

    raise typer.Exit(0 if cli.status(as_json, program=PROGRAM) else 1)


@app.command()
def env(as_json: AsJson = False) -> None:
    """Print the environment in which `aws`, boto3 and `cdk` use the local cloud.

    Examples: `eval "$(ingot cloud env)"`.
    """
    from localcloud import cli

    cli.env(program=PROGRAM, as_json=as_json)
