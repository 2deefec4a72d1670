"""``ingot plan``: what a merge would do."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ingot import paths
from ingot.cli.plan_boot import boot_changed, failures
from ingot.cli.reporting import Reporter
from ingot.errors import InputError, VerificationError
from ingot.forge.git import Repository
from ingot.plan.images import Diff, Differ, Images, NotAsked, Registry
from ingot.plan.infrastructure.cdk import Cache, Cdk
from ingot.plan.planner import Planner, environments
from ingot.recipe.syntax.explain import close_to
from ingot.report.plan_text import render_text
from ingot.store import Image, Store

if TYPE_CHECKING:
    from ingot.aws.session.clients import Clients

app = typer.Typer(add_completion=False)

# With --detailed-exitcode, in the manner of `terraform plan`; 1, 2 and 3 mean here what they mean everywhere.
UNLIMITED = 1 << 40
EXIT_CODES = {"nothing": 0, "something": 4, "dangerous": 5}


@app.command()
def plan(
    base: Annotated[
        str | None,
        typer.Option(help="The revision to compare with. [default: where HEAD left origin/main or main]"),
    ] = None,
    deployed: Annotated[
        bool, typer.Option("--deployed", help="Compare stacks with what is deployed; needs credentials.")
    ] = False,
    bake: Annotated[
        bool, typer.Option("--bake", help="Bake what changed and the store lacks, and compare the images.")
    ] = False,
    env: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="An environment; again for more. [default: none is named]"),
    ] = None,
    all_environments: Annotated[
        bool, typer.Option("--all-environments", help="None, and each of environments.yaml.")
    ] = False,
    context: Annotated[
        list[str] | None, typer.Option("--context", "-c", help="KEY=VALUE for the CDK app; again for more.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown, whole, as for a pull request.")
    ] = False,
    boot: Annotated[
        bool,
        typer.Option(
            "--boot", help="Boot each image that changed and run its tests; 1 if one fails or is not baked."
        ),
    ] = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the report as one self-contained page.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the JSON to a file as well.")
    ] = None,
    detailed_exitcode: Annotated[
        bool,
        typer.Option("--detailed-exitcode", help="Exit 4 when something changes, 5 when that is dangerous."),
    ] = False,
    recipes: Annotated[Path, typer.Option(help="The directory of the recipes.")] = Path("image_recipes"),
) -> None:
    """Print what a merge would do: digests and why they change, images to bake, stacks by `cdk diff`, the rollout."""
    _check(context or [], as_json=as_json, markdown=markdown)
    with Reporter() as report:
        clients = _clients(report, required=deployed)
        planner = _planner(report, clients, recipes, context or [], bake=bake, deployed=deployed)
        result = replace(planner, environments=_environments(env or [], everything=all_environments)).plan(
            base
        )
        content = result.to_json()
        content["boots"], notes = boot_changed(content, report) if boot else ([], [])
        content["notes"] += notes
    _write(content, save, html)
    _print(content, as_json=as_json, markdown=markdown)
    if failed := failures(content):
        raise VerificationError("\n".join(["images of this plan fail:", *(f"  {line}" for line in failed)]))
    if detailed_exitcode:
        raise typer.Exit(EXIT_CODES[result.verdict])


def _check(context: list[str], *, as_json: bool, markdown: bool) -> None:
    for pair in context:
        if "=" not in pair:
            raise InputError(f"--context {pair}: found no '=', expected KEY=VALUE")
    if as_json and markdown:
        raise InputError(
            "--json and --markdown exclude each other", hint="--save FILE writes the JSON as well"
        )


def _write(content: dict[str, Any], save: Path | None, html: Path | None) -> None:
    """Write the files that were asked for; raise InputError for one that cannot be written."""
    texts: dict[Path, str] = {}
    if save is not None:
        texts[save] = json.dumps(content, indent=1, sort_keys=True) + "\n"
    if html is not None:
        from ingot.report.render import render_report

        texts[html] = render_report(content)
    for path, text in texts.items():
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror}") from error


def _environments(named: list[str], *, everything: bool) -> list[str | None]:
    """Return the environments to plan; raise InputError for one that there is not."""
    known = environments(Path.cwd())
    for name in named:
        if name not in known:
            raise InputError(
                f"there is no environment {name!r} in environments.yaml; there is: {', '.join(known) or 'none'}",
                hint=close_to(name, known),
            )
    return [None, *known] if everything else [*named] or [None]


def _print(content: dict[str, Any], *, as_json: bool, markdown: bool) -> None:
    if as_json:
        # ASCII: a file's name may be no UTF-8.
        print(json.dumps(content, indent=1, sort_keys=True))
    elif markdown:
        from ingot.report.comment import render_comment

        print(render_comment(content, limit=UNLIMITED), end="")
    else:
        print(render_text(content), end="")


def _planner(
    report: Reporter,
    clients: Clients | None,
    recipes: Path,
    context: list[str],
    *,
    bake: bool,
    deployed: bool,
) -> Planner:
    project = Path.cwd()
    if not (project / "cdk.json").is_file():
        raise InputError(
            f"no cdk.json in {project}: the plan needs the CDK app", hint="run this at the top of the project"
        )
    store = Store()
    registry = None if clients is None else _registry(clients, report)
    planner = Planner(
        repository=Repository.around(project),
        recipes=recipes,
        environments=(None,),
        context=context,
        cdk=Cdk.of(project),
        cache=Cache(paths.home() / "plan"),
        images=Images(store, bake, registry, _differ(store), report),
        progress=report,
    )
    if not deployed or clients is None:
        return planner
    from functools import partial

    from ingot.plan.infrastructure.deployed import deployed_stacks, group_size

    return replace(
        planner, deployed=partial(deployed_stacks, clients), group_size=partial(group_size, clients)
    )


def _differ(store: Store) -> Differ:
    """Return what compares two images of the store."""

    def compare(before: Image, after: Image) -> Diff:
        from ingot.diff.compare import image_diff

        disks = {"before_disk": before.disk, "after_disk": after.disk}
        return image_diff(before.manifest, after.manifest, **disks, packages=store.packages)

    return compare


def _clients(report: Reporter, *, required: bool) -> Clients | None:
    """Return the AWS clients; None where there are no credentials, or no region. Raises InputError when they are needed."""
    import boto3

    if boto3.Session().get_credentials() is None:
        if required:
            raise InputError(
                "--deployed needs AWS credentials, and there are none",
                hint="docs/aws.md says how to set them",
            )
        return None
    from ingot.aws.session.clients import connect

    try:
        return connect()
    except InputError as error:
        if required:
            raise
        report(f"the registry is not asked: {error.message}")
        return None


def _registry(clients: Clients, report: Reporter) -> Registry:
    """Return the question to the registry. Where it cannot be asked, that is said, and it is not asked again."""
    from ingot.aws.publish.registry import find
    from ingot.aws.session.failures import AwsError, explain

    silent: list[str] = []

    def ask(recipe: str, digest: str) -> str | None:
        if not silent:
            try:
                published = find(clients, recipe, digest)
            except AwsError as error:
                silent.append(f"the registry was not asked: {explain(error)}")
                report(silent[0])
            else:
                return None if published is None else published.ami_id
        raise NotAsked(silent[0])

    return ask
