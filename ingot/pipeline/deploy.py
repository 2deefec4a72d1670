"""Deploying the app: publish what is missing, run ``cdk deploy``, wait until the fleets are steady."""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ingot.errors import IngotError, InputError
from ingot.interrupts import terminate_as_interrupt
from ingot.pipeline.app import BUILDER_STACK, stack_name
from ingot.pipeline.ongoing import InterruptedDeploymentError, alone, wait_settled
from ingot.pipeline.phases import Phase, Phases
from ingot.pipeline.publish import (
    PublishOptions,
    known_manifest,
    load_target,
    publish_recipe,
)
from ingot.plan.infrastructure.assembly import Assembly, GoldenAsset, read_assembly
from ingot.plan.infrastructure.cdk import Cdk, check_context
from ingot.progress import Progress
from ingot.quantities import number

if TYPE_CHECKING:
    from ingot.aws.session.clients import Clients
    from ingot.fleet.status import FleetStatus
    from ingot.fleet.verify import FleetVerdict

ASSEMBLY = Path("cdk.out")
APPROVALS = ("never", "any-change", "broadening")
BOOTSTRAPPED = "/cdk-bootstrap/hnb659fds/version"


@dataclass(frozen=True)
class DeployOptions:
    """What to deploy of an app, and how.

    ``stacks``: their names, or ``cdk deploy``'s patterns such as ``Stage/Stack``; None: all. ``context``:
    KEY=VALUE pairs for the CDK app. ``approval``: when the CDK CLI asks before it deploys, one of APPROVALS.
    ``cdk_arguments`` are passed on to ``cdk deploy``. ``verify``: at the end every clone is compared with the
    manifest of its image.
    """

    stacks: tuple[str, ...] | None = None
    context: tuple[str, ...] = ()
    approval: str = "broadening"
    cdk_arguments: tuple[str, ...] = ()
    verify: bool = False

    def __post_init__(self) -> None:
        if self.approval not in APPROVALS:
            raise InputError(
                f"invalid --require-approval {self.approval!r}", hint="use never, any-change or broadening"
            )


@dataclass(frozen=True)
class Deployment:
    """What a deployment did: the stacks whose templates changed, the fleets, all of them steady, where the
    time went, and the verdicts on the fleets that have clones, if they were verified.
    """

    changed: tuple[str, ...]
    fleets: tuple[FleetStatus, ...] = field(default=())
    phases: tuple[Phase, ...] = field(default=())
    verdicts: tuple[FleetVerdict, ...] = field(default=())


def deploy(project: Path, options: DeployOptions, progress: Progress) -> Deployment:
    """Deploy the app in the directory ``project``, which must be the working directory: its paths count from
    there.

    Raises InputError for the context and for what the app refuses, MissingToolError without the CDK CLI,
    InterruptedDeploymentError for Ctrl-C while CloudFormation works, IngotError for the rest.
    """
    from ingot.aws.session.failures import translated

    phases = Phases()
    with translated(), alone(project):
        with phases.measure("synthesize the stacks"):
            assembly = _synthesize(project, options.context, progress)
        stacks = assembly.select(options.stacks or None)
        clients = _connect(assembly, stacks)
        _require_bootstrap(clients, assembly)
        _require_types(clients, assembly, stacks, progress)
        run = _Deployer(project, assembly, clients, options, progress, phases)
        run.publish_missing([image for image in assembly.images if image.stack in stacks])
        changed = run.deploy(stacks, [*run.approval, *options.cdk_arguments])
        progress(f"deployed: {', '.join(changed)}" if changed else "no changes: all stacks are up to date")
        with phases.measure("wait until the fleets are steady"):
            fleets = _steady(clients, assembly.names(stacks), progress)
        verdicts: tuple[FleetVerdict, ...] = ()
        if options.verify:
            with phases.measure("verify the fleets"):
                verdicts = _verify(clients, fleets, progress)
        return Deployment(tuple(changed), fleets, phases.found, verdicts)


def bootstrap(project: Path, clients: Clients, progress: Progress) -> None:
    """Bootstrap the CDK in the account and region of ``clients``, unless that has been done.

    Raises IngotError for AWS's refusals, MissingToolError without the CDK CLI.
    """
    from ingot.aws.session.failures import translated

    with translated():
        where = _environment(clients)
        is_done = has_parameter(clients, BOOTSTRAPPED)
    if is_done:
        progress(f"{where} is bootstrapped")
        return
    # Elsewhere than beside cdk.json: there the CDK CLI would run the app first, for nothing.
    with tempfile.TemporaryDirectory() as elsewhere:
        progress(f"bootstrapping the CDK in {where}")
        Cdk.of(project).run(["bootstrap", where], directory=Path(elsewhere), folded=progress)


@dataclass(frozen=True)
class _Deployer:
    """One deployment, once it is known where to."""

    project: Path
    assembly: Assembly
    clients: Clients
    options: DeployOptions
    progress: Progress
    phases: Phases

    @property
    def approval(self) -> list[str]:
        return ["--require-approval", self.options.approval]

    def publish_missing(self, images: list[GoldenAsset]) -> None:
        """Publish what the registry does not name.

        The CDK CLI leaves it out when the asset's object is in its bucket, even if the registry's parameter
        was deleted since, and it shows nothing of a publish's progress.
        """
        from ingot.aws.registry.published import find

        missing = [
            image
            for image in images
            if find(self.clients, image.recipe, image.digest, known_manifest) is None
        ]
        stacks = self.assembly.stacks
        wanted, builders = list[PublishOptions](), list[str]()
        for image in missing:
            options = PublishOptions.of_asset(image.command)
            builder = options.builder_stack or stack_name(BUILDER_STACK, self.project)
            keys = [] if builder is None else self._builders(image.stack, builder)
            builders += [key for key in keys if key not in builders]
            wanted.append(replace(options, builder_stack=stacks[keys[0]].name) if keys else options)
        if builders:
            self.progress(
                f"{number(len(missing), 'image')} to publish; deploying {', '.join(builders)} first, "
                "which builds and tests images"
            )
            self.deploy(tuple(builders), ["--exclusively", *self.approval])
        for image, options in zip(missing, wanted, strict=True):
            self.progress(f"publishing {image.recipe} {image.digest[:12]}")
            with terminate_as_interrupt(), self.phases.measure(f"bake, publish and test {image.recipe}"):
                publish_recipe(load_target(options), self.clients, options, self.progress)

    def _builders(self, own: str, name: str) -> list[str]:
        """Return the stacks of this app that have the builder of an image of the stack ``own``.

        ``name``: the builder's. Of stages that share it, the one counts that is deployed to where the image's
        stack is. Without a stack of that name, it is the construct of that name in the image's stage, or in
        one around it: CloudFormation's name of it begins with the stage's, such as Prod-IngotBuilder.
        """
        stacks = self.assembly.stacks
        named = [
            key
            for key, stack in stacks.items()
            if stack.name == name and (key == name or stack.environment == stacks[own].environment)
        ]
        if named:
            return named
        stage = stacks[own].selector.rpartition("/")[0]
        while stage:
            keys = [key for key, stack in stacks.items() if stack.selector == f"{stage}/{name}"]
            if keys:
                return keys
            stage = stage.rpartition("/")[0]
        return []

    def deploy(self, stacks: tuple[str, ...], arguments: list[str]) -> list[str]:
        """Run `cdk deploy` on the assembly; return the names of the stacks whose templates changed."""
        from ingot.fleet.rollout import refreshes_reported

        names, selectors = self.assembly.names(stacks), self.assembly.selectors(stacks)
        wait_settled(self.clients, names, progress=self.progress)
        before = {name: template_digest(self.clients, name) for name in self.assembly.names()}
        cdk = Cdk.of(self.project, region=self.clients.region)
        try:
            with (
                self.phases.measure(f"deploy {', '.join(names)}"),
                refreshes_reported(self.clients, names, self.progress),
            ):
                # What asks needs the terminal.
                folded = self.progress if self.options.approval == "never" else None
                cdk.run(
                    ["deploy", "--app", str(self.assembly.directory), *selectors, *arguments], folded=folded
                )
        except KeyboardInterrupt as error:
            raise InterruptedDeploymentError from error
        return [name for name in before if template_digest(self.clients, name) != before[name]]


def _synthesize(project: Path, context: tuple[str, ...], progress: Progress) -> Assembly:
    """Run the app, which checks the recipes and the context; raise InputError with what it says is wrong with
    them.
    """
    if not (project / "cdk.json").is_file():
        raise InputError(
            f"there is no cdk.json in {project}",
            hint="run this at the top of the CDK app, where app.py and cdk.json are",
        )
    check_context(context)
    progress("checking recipes, synthesizing the stacks")
    Cdk.of(project).synthesize(project, ASSEMBLY, context)
    return read_assembly(ASSEMBLY)


def _connect(assembly: Assembly, stacks: tuple[str, ...]) -> Clients:
    """Return the clients of the region that these stacks name, else of the caller's.

    Raises InputError: they name several regions, or another account than the caller's.
    """
    from ingot.aws.session.clients import connect, require_account

    regions, accounts = assembly.regions(stacks), assembly.accounts(stacks)
    if len(regions) > 1 or len(accounts) > 1:
        places = accounts if len(accounts) > 1 else regions
        raise InputError(
            f"one deployment goes to one account and region, but the stacks are in {', '.join(places)}",
            hint="name those of one account and region: ingot deploy --stack NAME --stack NAME",
        )
    clients = connect(region=regions[0] if regions else None)
    for account in accounts:
        require_account(clients, account, f"the stack {stacks[0]}" if len(stacks) == 1 else "the app")
    return clients


def _environment(clients: Clients) -> str:
    return f"aws://{clients.sts.get_caller_identity()['Account']}/{clients.region}"


def _require_bootstrap(clients: Clients, assembly: Assembly) -> None:
    for parameter in assembly.bootstrap:
        if not has_parameter(clients, parameter):
            where = _environment(clients)
            raise IngotError(
                f"the CDK is not bootstrapped in {where}: there is no parameter {parameter}",
                hint=f"once per account and region, run: cdk bootstrap {where}   "
                "(or: ingot deploy --bootstrap-only)",
            )


def _require_types(clients: Clients, assembly: Assembly, stacks: tuple[str, ...], progress: Progress) -> None:
    """Raise InputError for instance types that cannot run the images where the stacks launch them."""
    from ingot.aws.instances.offers import Use, require_types
    from ingot.aws.session.failures import DENIED, AwsError, code_of, explain
    from ingot.plan.infrastructure.launches import launches_of

    uses = [
        Use(launch.path, launch.types, launch.zones, launch.maps_volumes)
        for key in stacks
        for launch in launches_of(assembly.stacks[key].template)
    ]
    try:
        require_types(clients, uses)
    except AwsError as error:
        # It saves a roll-out that would fail; who may deploy need not have the right to ask.
        if code_of(error) not in DENIED:
            raise
        progress(f"the instance types were not checked: {explain(error)}")


def has_parameter(clients: Clients, name: str) -> bool:
    """Whether there is an SSM parameter of this name."""
    return bool(clients.ssm.get_parameters(Names=[name])["Parameters"])


def template_digest(clients: Clients, stack: str) -> str | None:
    """Return the digest of a stack's deployed template; None when there is no such stack."""
    from ingot.aws.session.stacks import stack_template

    template = stack_template(clients, stack)
    if template is None:
        return None
    return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()


def _steady(clients: Clients, stacks: tuple[str, ...], progress: Progress) -> tuple[FleetStatus, ...]:
    """Wait until the fleets of these stacks are steady; return their status."""
    from ingot.aws.session.stacks import stack_outputs
    from ingot.fleet.rollout import wait_steady
    from ingot.fleet.status import SINGLE

    has = {"AutoScalingGroupName", SINGLE}
    fleets = [name for name in stacks if has & (stack_outputs(clients, name) or {}).keys()]
    return tuple(wait_steady(clients, name, progress=progress) for name in fleets)


def _verify(
    clients: Clients, fleets: tuple[FleetStatus, ...], progress: Progress
) -> tuple[FleetVerdict, ...]:
    """Compare all clones with their manifests, as `ingot verify fleet` does without options."""
    from ingot.fleet.inventory import FRESH
    from ingot.pipeline.verify import AskClones, verify_stack

    ask = AskClones(limit=None, max_age=FRESH)
    return tuple(verify_stack(clients, status.stack, progress, ask) for status in fleets if status.clones)
