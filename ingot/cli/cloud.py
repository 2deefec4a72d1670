"""``ingot cloud``: start, stop and use the local cloud."""

from __future__ import annotations

import json
import os
import shlex
import sys
from typing import Annotated

import typer

from ingot.errors import CloudError

app = typer.Typer(add_completion=False, help="Start, stop and use the local cloud.")

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _say(message: str) -> None:
    print(message, file=sys.stderr)


@app.command()
def up(
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, envvar="INGOT_CLOUD_PORT", help="Port on 127.0.0.1. [default: 5566]"),
    ] = None,
) -> None:
    """Start the local cloud and wait until it answers; do nothing when it runs."""
    from localcloud import daemon

    record, started = daemon.up(port, progress=_say)
    _say("the local cloud is up" if started else "the local cloud already runs")
    print(record.endpoint)


@app.command()
def down() -> None:
    """End the local cloud and all its machines. Images stay in the store."""
    from localcloud import daemon

    _say("the local cloud is down" if daemon.down(progress=_say) else "the local cloud does not run")


@app.command()
def status(as_json: JsonOption = False) -> None:
    """Say whether the local cloud runs; exit code 1 when it does not."""
    from localcloud import daemon

    record = daemon.running()
    answers = record is not None and record.ready()
    if as_json:
        found = (
            {"running": False}
            if record is None
            else {
                "running": answers,
                "endpoint": record.endpoint,
                "pid": record.pid,
                "port": record.port,
                "log": str(daemon.log_file()),
            }
        )
        print(json.dumps(found, sort_keys=True))
    elif record is None:
        _say("the local cloud does not run; start it with: ingot cloud up")
    else:
        print(f"{record.endpoint}  process {record.pid}  " + ("ready" if answers else "does not answer"))
    raise typer.Exit(0 if answers else 1)


@app.command()
def env() -> None:
    """Print the environment in which `aws`, boto3 and `cdk` use the local cloud: eval "$(ingot cloud env)"."""
    from localcloud import daemon
    from localcloud.core import environment

    record = daemon.running()
    if record is None:
        raise CloudError("the local cloud does not run", hint="start it with: ingot cloud up")
    for name in environment.UNSET:
        print(f"unset {name}")
    for name, value in (environment.variables(record.port) | environment.no_proxy(os.environ)).items():
        print(f"export {name}={shlex.quote(value)}")
