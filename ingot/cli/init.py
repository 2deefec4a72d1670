"""``ingot init``: start a project, or add a recipe to one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ingot.pipeline.project.init import EMPTY, TEMPLATES, add_recipe, start_project

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
) -> None:
    """Start a project: a recipe, the CDK app that deploys it, tests and settings.

    Nothing that exists is overwritten.

    Examples: `ingot init my-images`, `ingot init my-images --template api`, `ingot init --recipe shop`.
    """
    if recipe is not None:
        started = add_recipe(directory, recipe, template=template)
        for path in started.files:
            print(started.directory / path)
        lines = {"FLEETS": started.fleet, "WORKERS": started.worker}
        for table, line in lines.items():
            if line is not None:
                what = "a fleet of it" if table == "FLEETS" else "one without a load balancer"
                print(f"\nFor {what}, add this line to {table} in app.py:\n\n    {line}", file=sys.stderr)
        return
    started = start_project(directory, template=template)
    for path in started.files:
        print(started.directory / path)
    steps = [] if directory.resolve() == Path.cwd() else [f"cd {directory}"]
    if template == EMPTY:
        steps.append("ingot init --recipe NAME   # add a recipe")
    steps.append("ingot up                   # start a local cloud and deploy the project to it")
    print("\nNext:\n\n" + "\n".join(f"    {step}" for step in steps), file=sys.stderr)
