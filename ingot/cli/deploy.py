"""``ingot deploy``: publish what is missing, with progress, then ``cdk deploy``, then wait until the fleet is
steady.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ingot.cli.terminal.deployments import print_deployment
from ingot.cli.terminal.reporting import Reporter
from ingot.cli.usage.options import AsJson, Context

app = typer.Typer(add_completion=False)


@app.command()
def deploy(
    stack: Annotated[
        list[str] | None,
        typer.Option(help="A stack to deploy, such as Fleet or Stage/Fleet; repeatable.", show_default="all"),
    ] = None,
    context: Context = None,
    require_approval: Annotated[
        str, typer.Option(help="When cdk asks before it deploys: never, any-change or broadening.")
    ] = "broadening",
    bootstrap_only: Annotated[
        bool, typer.Option("--bootstrap-only", help="Run `cdk bootstrap` if it never ran there, and stop.")
    ] = False,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify", help="Then compare every clone with its manifest, as `ingot verify fleet` does."
        ),
    ] = False,
    as_json: AsJson = False,
    cdk_arguments: Annotated[
        list[str] | None, typer.Argument(help="Passed on to `cdk deploy`, after `--`.")
    ] = None,
) -> None:
    """Publish what is missing, then run `cdk deploy`; print where the time went, the URL and the clones.

    With --verify the exit code is 1 when a clone differs from its manifest.

    Examples: `ingot deploy`, `ingot deploy -c env=prod --require-approval never`,
    `ingot deploy --stack IngotFleet -- --rollback false`.
    """
    from ingot.pipeline.deploy import DeployOptions, bootstrap
    from ingot.pipeline.deploy import deploy as run

    options = DeployOptions(
        stacks=tuple(stack) if stack else None,
        context=tuple(context or ()),
        approval=require_approval,
        cdk_arguments=tuple(cdk_arguments or ()),
        verify=verify,
    )
    if bootstrap_only:
        from ingot.aws.session.clients import connect

        with Reporter() as report:
            bootstrap(Path.cwd(), connect(), report)
        return
    # The CDK CLI asks on the terminal; without questions nothing but the report writes there.
    with Reporter(live=require_approval == "never") as report:
        deployment = run(Path.cwd(), options, report)
    print_deployment(deployment, as_json=as_json)
    if not all(verdict.ok for verdict in deployment.verdicts):
        raise typer.Exit(1)
