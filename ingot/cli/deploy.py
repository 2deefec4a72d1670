"""``ingot deploy``: publish what is missing, with progress, then ``cdk deploy``, then wait until the fleet is
steady.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False)


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


@app.command()
def deploy(
    stack: Annotated[
        list[str] | None,
        typer.Option(help="A stack to deploy, such as Fleet or Stage/Fleet; repeatable.", show_default="all"),
    ] = None,
    context: Annotated[
        list[str] | None, typer.Option("--context", "-c", help="KEY=VALUE for the CDK app; repeatable.")
    ] = None,
    require_approval: Annotated[
        str, typer.Option(help="When cdk asks before it deploys: never, any-change or broadening.")
    ] = "broadening",
    bootstrap_only: Annotated[
        bool, typer.Option("--bootstrap-only", help="Run `cdk bootstrap` where it never ran, and stop.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    cdk_arguments: Annotated[
        list[str] | None, typer.Argument(help="Passed on to `cdk deploy`, after `--`.")
    ] = None,
) -> None:
    """Publish what is missing, then run `cdk deploy`; print the URL and the clones."""
    from ingot.cli.status import show
    from ingot.pipeline.deploy import DeployOptions, bootstrap
    from ingot.pipeline.deploy import deploy as run

    options = DeployOptions(
        stacks=tuple(stack) if stack else None,
        context=tuple(context or ()),
        approval=require_approval,
        cdk_arguments=tuple(cdk_arguments or ()),
    )
    if bootstrap_only:
        from ingot.aws.session.clients import connect
        from ingot.aws.session.failures import translated

        with translated():
            bootstrap(Path.cwd(), connect(), _say)
        return
    deployment = run(Path.cwd(), options, _say)
    if as_json:
        print(json.dumps([status.as_dict() for status in deployment.fleets], indent=2, sort_keys=True))
        return
    for status in deployment.fleets:
        show(status)
