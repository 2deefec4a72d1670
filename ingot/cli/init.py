"""``ingot init``: start a project, or add a recipe to one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ingot.cli.terminal.results import print_json
from ingot.cli.usage.options import AsJson
from ingot.pipeline.project.init import EMPTY, TEMPLATES, Started, add_recipe, start_project

app = typer.Typer(add_completion=False)
_DESCRIBED = "; ".join(f"{name}: {what}" for name, what in TEMPLATES.items())


@app.command()
def init(
    directory: Annotated[
        Path, typer.Argument(help="The project's directory; made if it is not there.")
    ] = Path(),
    template: Annotated[
        str, typer.Option(help=f"What to start with. {_DESCRIBED}; {EMPTY}: a project without a recipe.")
    ] = "web",
    recipe: Annotated[
        str | None, typer.Option(metavar="NAME", help="Add this recipe to a project that exists.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Start a project: a recipe, the CDK app that deploys it, tests and settings.

    Nothing that exists is overwritten.

    Examples: `ingot init my-images`, `ingot init my-images --template api`, `ingot init --recipe shop`.
    """
    if recipe is not None:
        started = add_recipe(directory, recipe, template=template)
    else:
        started = start_project(directory, template=template)
    if as_json:
        print_json(
            {
                "directory": str(started.directory),
                "files": [str(path) for path in started.files],
                "fleet": started.fleet,
                "worker": started.worker,
            }
        )
        return
    for path in started.files:
        print(started.directory / path)
    print(_fleets(started) if recipe is not None else _next(directory, template), end="", file=sys.stderr)


def _fleets(started: Started) -> str:
    """Return what makes a fleet of an added recipe."""
    lines = {"FLEETS": started.fleet, "WORKERS": started.worker}
    what = {"FLEETS": "a fleet of it", "WORKERS": "one without a load balancer"}
    return "".join(
        f"\nFor {what[table]}, add this line to {table} in app.py:\n\n    {line}\n"
        for table, line in lines.items()
        if line is not None
    )


def _next(directory: Path, template: str) -> str:
    """Return what to do in a new project."""
    steps = [] if directory.resolve() == Path.cwd() else [f"cd {directory}"]
    if template == EMPTY:
        steps.append("ingot init --recipe NAME   # add a recipe")
    steps.append("ingot up                   # start a local cloud and deploy the project to it")
    return "\nNext:\n\n" + "".join(f"    {step}\n" for step in steps)
