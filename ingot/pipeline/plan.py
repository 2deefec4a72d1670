"""Planning a merge: what it would do, and with ``boot`` whether the images that it
changes pass their tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ingot import paths
from ingot.errors import IngotError, InputError
from ingot.forge.git import Repository
from ingot.paths import RECIPES
from ingot.pipeline.bake import open_store
from ingot.plan.boots import BootRecord, Outcome
from ingot.plan.images import Differ, Images, NotAsked, Registry
from ingot.plan.infrastructure.assembly import Stack
from ingot.plan.infrastructure.cdk import Cache, Cdk, check_context
from ingot.plan.planner import Planner, environments
from ingot.plan.result import Plan
from ingot.progress import Progress
from ingot.recipe.syntax.explain import close_to
from ingot.store import Image, Store

if TYPE_CHECKING:
    from ingot.aws.session.clients import Clients
    from ingot.diff.compare import ImageDiff


@dataclass(frozen=True)
class PlanOptions:
    """What to plan. ``base``: a revision; None: where HEAD left the main branch.

    ``deployed`` compares stacks with what is deployed. ``bake`` bakes what changed and the store lacks.
    ``boot`` boots each image that changed. ``environments``: those to plan, all with ``all_environments``;
    none: the plan without one.
    """

    base: str | None = None
    deployed: bool = False
    bake: bool = False
    boot: bool = False
    environments: tuple[str, ...] = ()
    all_environments: bool = False
    context: tuple[str, ...] = ()
    recipes: Path = RECIPES


def plan(project: Path, options: PlanOptions, progress: Progress, output: Progress) -> Plan:
    """Return the plan of the CDK app in ``project``.

    ``output`` takes what boots print: a line for each test. Raises InputError for what is wrong with the
    options or with the tree, MissingToolError without the CDK CLI.
    """
    check_context(options.context)
    clients = _clients(progress, required=options.deployed)
    result = _planner(project, options, clients, progress).plan(options.base)
    if not options.boot:
        return result
    boots, notes = boot_changed(result, progress, output)
    return replace(result, boots=tuple(boots), notes=(*result.notes, *notes))


def _planner(project: Path, options: PlanOptions, clients: Clients | None, progress: Progress) -> Planner:
    if not (project / "cdk.json").is_file():
        raise InputError(
            f"no cdk.json in {project}: the plan needs the CDK app", hint="run this at the top of the project"
        )
    cdk = Cdk.of(project)
    cdk.require_differ()
    store = open_store()
    registry = None if clients is None else _registry(clients, store, progress)
    planner = Planner(
        repository=Repository.around(project),
        recipes=options.recipes,
        environments=_environments(project, options),
        context=options.context,
        cdk=cdk,
        cache=Cache(paths.home() / "plan"),
        images=Images(store, options.bake, registry, _differ(store), progress),
        progress=progress,
    )
    if not options.deployed or clients is None:
        return planner
    from ingot.aws.session.stacks import group_size

    return replace(
        planner, deployed=partial(_deployed_stacks, clients), group_size=partial(group_size, clients)
    )


def _deployed_stacks(clients: Clients, stacks: Mapping[str, Stack]) -> dict[str, Stack]:
    """Return those of ``stacks`` that are deployed in the caller's region, with their deployed templates."""
    from ingot.aws.session.stacks import stack_template

    deployed = {}
    for name, stack in stacks.items():
        template = stack_template(clients, stack.name)
        if template is not None:
            deployed[name] = replace(stack, template=template, assets={})
    return deployed


def _environments(project: Path, options: PlanOptions) -> list[str | None]:
    """Return the environments to plan; raise InputError for one that there is not."""
    known = environments(project)
    for name in options.environments:
        if name not in known:
            raise InputError(
                f"there is no environment {name!r} in environments.yaml; there is:"
                f" {', '.join(known) or 'none'}",
                hint=close_to(name, known),
            )
    return [None, *known] if options.all_environments else [*options.environments] or [None]


def _differ(store: Store) -> Differ:
    """Return what compares two images of the store."""

    def compare(before: Image, after: Image) -> ImageDiff:
        from ingot.diff.compare import image_diff

        disks = {"before_disk": before.disk, "after_disk": after.disk}
        return image_diff(before.manifest, after.manifest, **disks, packages=store.packages)

    return compare


def _clients(progress: Progress, *, required: bool) -> Clients | None:
    """Return the AWS clients; None without credentials or region. Raises InputError when they are needed."""
    from ingot.aws.session.clients import connect, has_credentials

    if not has_credentials():
        if required:
            raise InputError(
                "--deployed needs AWS credentials, and there are none",
                hint="docs/aws.md says how to set them",
            )
        return None
    try:
        return connect()
    except InputError as error:
        if required:
            raise
        progress(f"the registry is not asked: {error.message}")
        return None


def _registry(clients: Clients, store: Store, progress: Progress) -> Registry:
    """Return the question to the registry.

    Where it cannot be asked, that is reported, and it is not asked again.
    """
    from ingot.aws.registry.published import find
    from ingot.aws.session.failures import AwsError, explain

    silent: list[str] = []

    def ask(recipe: str, digest: str) -> str | None:
        if not silent:
            try:
                published = find(clients, recipe, digest, store.manifest)
            except AwsError as error:
                silent.append(f"the registry was not asked: {explain(error)}")
                progress(silent[0])
            else:
                return None if published is None else published.ami_id
        raise NotAsked(silent[0])

    return ask


def boot_image(digest: str, progress: Progress, output: Progress) -> BootRecord:
    """Boot an image of the store, run its tests and return the record.

    Of a boot that breaks off, the tests so far may all have passed: its record has one more, which failed.
    """
    from ingot.interrupts import terminate_as_interrupt
    from ingot.pipeline import boot
    from ingot.pipeline.store import stored_image

    progress(f"booting {digest:.12} for its tests")
    records: list[BootRecord] = []
    listener = boot.BootListener(output, records.append)
    try:
        with terminate_as_interrupt():
            boot.boot_image(stored_image(digest), boot.BootOptions(), listener, progress)
    except (IngotError, OSError) as error:
        output(str(error))
        problem = error.message if isinstance(error, IngotError) else str(error)
        if not records:  # it did not come as far as a machine
            return _not_booted(digest[:12], digest, problem)
        [record] = records
        if all(test.ok for test in record.tests):
            return replace(record, tests=(*record.tests, _failed(problem, record.seconds)))
    [record] = records
    return record


def _failed(problem: str, at: float) -> Outcome:
    return Outcome("the image boots", problem, None, at)


def _not_booted(recipe: str, digest: str, problem: str) -> BootRecord:
    """Return the record of a boot that never began."""
    return BootRecord(recipe, digest, None, 0.0, (_failed(problem, 0.0),), ())


def boot_changed(
    plan: Plan,
    progress: Progress,
    output: Progress,
    boot: Callable[[str, Progress, Progress], BootRecord] = boot_image,
) -> tuple[list[BootRecord], list[str]]:
    """Boot each image that changes and is in the store, one after the other.

    Returns the records of the boots and notes on images that are for AWS to boot. An image that is not here,
    and would have to be, has the record of a boot that failed: it proved nothing.
    """
    boots: dict[str, BootRecord] = {}
    notes: list[str] = []
    for image in plan.images:
        digest = image.after
        if digest in boots or digest == image.before or image.state == "failed":
            continue
        name = f"the image {image.recipe} {digest:.12}"
        if image.state == "stored":
            boots[digest] = boot(digest, progress, output)
        elif image.state == "published":
            notes.append(f"{name} was not booted here: a test clone of it passed when it was published")
        elif image.on_ami:
            notes.append(
                f"{name} was not booted: it is on a base AMI, and a test clone boots when it is deployed"
            )
        else:
            problem = "it is not baked on this machine; `ingot plan --bake --boot` bakes it before"
            boots[digest] = _not_booted(image.recipe, digest, problem)
    return list(boots.values()), list(dict.fromkeys(notes))


def failures(plan: Plan) -> list[str]:
    """Return one sentence for each image that does not bake and each test that failed.

    An image without a test passed none.
    """
    failed = [image for image in plan.images if image.state == "failed"]
    sentences = [f"{image.recipe} {image.after[:12]}: {image.no_diff}" for image in failed]
    for boot in plan.boots:
        name = f"{boot.recipe} {boot.digest[:12]}"
        sentences += [f"{name}: {test.name}: {test.problem}" for test in boot.tests if not test.ok]
        if not boot.tests:
            sentences.append(f"{name}: no test ran")
    return sentences
