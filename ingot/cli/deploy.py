"""``ingot deploy``: publish what is missing, with progress, then ``cdk deploy``, then wait until the fleet is steady."""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ingot.errors import IngotError, InputError

if TYPE_CHECKING:
    from ingot.aws.session.clients import Clients
    from ingot.cli.assembly import Assembly, GoldenAsset

app = typer.Typer(add_completion=False)

ASSEMBLY = Path("cdk.out")
APPROVALS = ("never", "any-change", "broadening")


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


@app.command()
def deploy(
    stack: Annotated[
        list[str] | None, typer.Option(help="A stack to deploy; again for more. [default: all]")
    ] = None,
    context: Annotated[
        list[str] | None, typer.Option("--context", "-c", help="KEY=VALUE for the CDK app; again for more.")
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
    from ingot.aws.session.clients import connect
    from ingot.aws.session.failures import translated
    from ingot.cli.deploy_guard import alone

    if require_approval not in APPROVALS:
        raise InputError(
            f"--require-approval: found {require_approval!r}; expected never, any-change or broadening"
        )
    if bootstrap_only:
        with translated():
            _bootstrap(connect())
        return
    with translated(), alone(Path.cwd()):
        assembly = _synthesize(context or [])
        chosen = _chosen(assembly, stack)
        clients = _connect(assembly, chosen)
        _require_bootstrap(clients, assembly)
        images = [image for image in assembly.images if image.stack in chosen]
        approval = ["--require-approval", require_approval]
        _publish_missing(clients, assembly, images, approval)
        changed = _deploy(clients, assembly, chosen, [*approval, *(cdk_arguments or [])])
        _say(
            f"deployed: {', '.join(changed)}"
            if changed
            else "nothing to deploy: the stacks are as the app says"
        )
        _report(clients, chosen, as_json=as_json)


def _chosen(assembly: Assembly, stacks: list[str] | None) -> tuple[str, ...]:
    """Return the names of the stacks to deploy; raise InputError when the app has no such stack."""
    for name in stacks or []:
        if name not in assembly.stacks:
            raise InputError(f"there is no stack {name!r}; the app has: {', '.join(assembly.stacks)}")
    return tuple(stacks or assembly.stacks)


def _connect(assembly: Assembly, stacks: tuple[str, ...]) -> Clients:
    """Return the clients of the region that these stacks name, else of the caller's.

    Raises InputError: they name several regions, or another account than the caller's.
    """
    from ingot.aws.session.clients import connect, require_account

    regions, accounts = assembly.regions(stacks), assembly.accounts(stacks)
    if len(regions) > 1 or len(accounts) > 1:
        raise InputError(
            f"the stacks are in several places: {', '.join(accounts if len(accounts) > 1 else regions)}; expected one",
            hint="name those of one account and region: ingot deploy --stack NAME --stack NAME",
        )
    clients = connect(region=regions[0] if regions else None)
    for account in accounts:
        require_account(clients, account, f"the stack {stacks[0]}" if len(stacks) == 1 else "the app")
    return clients


def _synthesize(context: list[str]) -> Assembly:
    """Run the app, which checks the recipes and the context; raise InputError with what it says is wrong with them."""
    from ingot.cli import cdk
    from ingot.cli.assembly import read_assembly
    from ingot.plan.infrastructure.cdk import Cdk

    if not Path("cdk.json").is_file():
        raise InputError(
            f"there is no cdk.json in {Path.cwd()}, expected the top of a CDK app",
            hint="run this where app.py and cdk.json are",
        )
    for pair in context:
        if "=" not in pair:
            raise InputError(f"--context {pair}: found no '=', expected KEY=VALUE")
    _say("checking recipes, synthesizing the stacks")
    environ = cdk.environment()
    Cdk(cdk.find(environ), environ, Path.cwd()).synthesize(Path.cwd(), ASSEMBLY, context)
    return read_assembly(ASSEMBLY)


def _environment(clients: Clients) -> str:
    return f"aws://{clients.sts.get_caller_identity()['Account']}/{clients.region}"


def _bootstrap(clients: Clients) -> None:
    """Bootstrap the account and region, unless that has been done."""
    from ingot.cli import cdk

    where = _environment(clients)
    if _has_parameter(clients, "/cdk-bootstrap/hnb659fds/version"):
        _say(f"{where} is bootstrapped")
    else:
        # Elsewhere than beside cdk.json: there the CDK CLI would run the app first, for nothing.
        with tempfile.TemporaryDirectory() as elsewhere:
            cdk.cdk(["bootstrap", where], directory=Path(elsewhere))


def _require_bootstrap(clients: Clients, assembly: Assembly) -> None:
    for parameter in assembly.bootstrap:
        if not _has_parameter(clients, parameter):
            where = _environment(clients)
            raise IngotError(
                f"the CDK is not bootstrapped in {where}: there is no parameter {parameter}",
                hint=f"once per account and region, run: cdk bootstrap {where}   (or: ingot deploy --bootstrap-only)",
            )


def _has_parameter(clients: Clients, name: str) -> bool:
    return bool(clients.ssm.get_parameters(Names=[name])["Parameters"])


def _publish_missing(
    clients: Clients, assembly: Assembly, images: list[GoldenAsset], approval: list[str]
) -> None:
    """Publish what the registry does not name, by the very command that the CDK CLI would run unseen.

    The CDK CLI leaves it out when the asset's object is in its bucket, even if the registry's parameter was deleted since.
    """
    from ingot.aws.publish.registry import find
    from ingot.aws.publish.settings import BUILDER_STACK

    missing = [image for image in images if find(clients, image.recipe, image.digest) is None]
    if missing and BUILDER_STACK in assembly.stacks:
        _say(f"{len(missing)} image(s) to publish; first the stack {BUILDER_STACK}, which that needs")
        _deploy(clients, assembly, (BUILDER_STACK,), ["--exclusively", *approval])
    for image in missing:
        _publish(image, clients.region)


def _publish(image: GoldenAsset, region: str) -> None:
    import subprocess

    from ingot.cli import cdk

    _say(f"publishing {image.recipe} {image.digest[:12]}")
    status = cdk.attached(image.publish, env=cdk.environment(region), stdout=subprocess.DEVNULL)
    if status != 0:
        # It has told why. Its exit code is ours: a missing tool is still a missing tool.
        raise typer.Exit(status)


def _deploy(clients: Clients, assembly: Assembly, stacks: tuple[str, ...], arguments: list[str]) -> list[str]:
    """Run `cdk deploy` on the assembly; return the names of the stacks that are not as they were."""
    from ingot.cli import cdk
    from ingot.cli.deploy_guard import InterruptedDeploymentError, wait_settled
    from ingot.cli.rollout_progress import told

    wait_settled(clients, stacks, progress=_say)
    before = {name: _template(clients, name) for name in assembly.stacks}
    try:
        with told(clients, stacks, _say):
            cdk.cdk(["deploy", "--app", str(assembly.directory), *stacks, *arguments], region=clients.region)
    except KeyboardInterrupt as error:
        raise InterruptedDeploymentError from error
    return [name for name in assembly.stacks if _template(clients, name) != before[name]]


def _template(clients: Clients, stack: str) -> str | None:
    """Return the digest of a stack's deployed template; None when there is no such stack."""
    from botocore.exceptions import ClientError

    from ingot.aws.session.failures import code_of

    try:
        body = clients.cloudformation.get_template(StackName=stack)["TemplateBody"]
    except ClientError as error:
        if code_of(error) == "ValidationError" and "does not exist" in str(error):
            return None
        raise
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _report(clients: Clients, stacks: tuple[str, ...], *, as_json: bool) -> None:
    """Wait until the fleets of these stacks are steady, and print their status."""
    from ingot.aws.publish.settings import stack_outputs
    from ingot.cli.status import show
    from ingot.fleet.wait import wait_steady

    fleets = [name for name in stacks if "AutoScalingGroupName" in (stack_outputs(clients, name) or {})]
    statuses = [wait_steady(clients, name, progress=_say) for name in fleets]
    if as_json:
        print(json.dumps([status.as_dict() for status in statuses], indent=2, sort_keys=True))
        return
    for status in statuses:
        show(status)
