"""``ingot cloud``: start, stop and use the local cloud, which is a distribution of its own."""

from __future__ import annotations

import importlib.util
import os
from typing import Annotated

import typer

from ingot.cli.options import AsJson
from ingot.cli.usage import Group
from ingot.errors import MissingPackageError
from ingot.progress import Progress

PROGRAM = "ingot cloud"
app = typer.Typer(cls=Group, add_completion=False, help="Start, stop and use the local cloud.")


@app.callback()
def _installed() -> None:
    require_local_cloud()


def require_local_cloud() -> None:
    """Raise MissingPackageError unless the local cloud is installed: it is a distribution of its own."""
    if importlib.util.find_spec("localcloud") is None:
        raise MissingPackageError("the local cloud", install="pip install 'ingot[cloud]'")


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
) -> None:
    """Start the local cloud and wait until it answers; do nothing when it runs.

    Examples: `ingot cloud up`.
    """
    from localcloud import cli

    cli.up(port, parent=with_parent, program=PROGRAM)


@app.command()
def down() -> None:
    """End the local cloud and all its machines. Images stay in the store.

    Examples: `ingot cloud down`.
    """
    stop()


@app.command()
def status(as_json: AsJson = False) -> None:
    """Say whether the local cloud runs; exit code 1 when it does not.

    Examples: `ingot cloud status`.
    """
    from localcloud import cli

    raise typer.Exit(0 if cli.status(as_json, program=PROGRAM) else 1)


@app.command()
def env() -> None:
    """Print the environment in which `aws`, boto3 and `cdk` use the local cloud.

    Examples: `eval "$(ingot cloud env)"`.
    """
    from localcloud import cli

    cli.env(program=PROGRAM)


def use(progress: Progress) -> None:
    """Start the local cloud unless it runs, and let this process use it, whatever it used before.

    Raises MissingPackageError, and what the local cloud says in the way of its start.
    """
    require_local_cloud()
    from ingot.cloud_record import no_proxy
    from localcloud import cli, daemon
    from localcloud.core.environment import UNSET

    record, started = daemon.up(
        cli.wanted_port(), parent=cli.wanted_parent(), progress=progress, program=PROGRAM
    )
    progress(f"the local cloud {'is up' if started else 'already runs'}: {record.endpoint}")
    for name in UNSET:
        os.environ.pop(name, None)
    os.environ.update(record.environment | no_proxy(os.environ))


def stop() -> None:
    """End the local cloud and all its machines, if it runs."""
    require_local_cloud()
    from localcloud import cli

    cli.down()
