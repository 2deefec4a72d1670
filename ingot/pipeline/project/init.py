"""Starting a project: the files of a CDK app with its recipes, written into an empty directory."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from ingot.errors import InputError
from ingot.files import write_atomically
from ingot.paths import RECIPES

# The recipes that a project can start with. "empty" is a project without one.
TEMPLATES = {
    "web": "Apache and a page",
    "api": "a small HTTP API in Python, started by systemd",
    "worker": "a worker in Python that fetches its jobs; its fleet has no load balancer",
}
# Those whose clones nobody connects to.
WORKERS = frozenset({"worker"})
EMPTY = "empty"
SCHEMA = "recipe.schema.json"
_FLEETS, _WORKERS = "    # @FLEETS@\n", "    # @WORKERS@\n"
_NO_FLEET, _NO_WORKER = '# "Web": "web",', '# "Jobs",'
# A recipe's name is also the name of a user, a directory and a systemd unit in the image.
_RECIPE_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
_PROJECT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Started:
    """What was written: ``files`` are paths below ``directory``; ``fleet`` is the line of FLEETS in app.py
    that makes a fleet of the recipe, ``worker`` that of WORKERS which leaves its load balancer out; None
    where there is none.
    """

    directory: Path
    files: tuple[Path, ...]
    fleet: str | None
    worker: str | None


def start_project(directory: Path, *, template: str, recipe: str | None = None) -> Started:
    """Write a project into ``directory``, which is made if it is not there.

    ``template`` is one of TEMPLATES, or EMPTY. ``recipe`` names its recipe (default: as the template).
    Raises InputError: an unknown template, an invalid name, or a file of the project is there already; then
    nothing is written.
    """
    _check_template(template, (*TEMPLATES, EMPTY))
    if template == EMPTY and recipe is not None:
        raise InputError(
            "the template 'empty' has no recipe to name", hint=f"use one of: {', '.join(TEMPLATES)}"
        )
    project = directory.resolve().name
    if not _PROJECT_NAME.fullmatch(project):
        raise InputError(
            f"{project!r} cannot be the name of a project: it has to start with a letter or digit",
            hint="use letters, digits, '.', '_' and '-'",
        )
    name = None if template == EMPTY else recipe or template
    fleet = None if name is None else _fleet(name)
    worker = None if name is None else _worker(name, template)
    values = {
        "PROJECT": project.lower(),
        "VERSION": version("ingot"),
        "STACK": _stack(name or "web"),
    }
    content = dict(_filled(files("ingot") / "templates" / "project", values))
    app = content[Path("app.py")].replace(_FLEETS, f"    {fleet or _NO_FLEET}\n")
    content[Path("app.py")] = app.replace(_WORKERS, f"    {worker or _NO_WORKER}\n")
    if name is None:
        content[RECIPES / ".gitkeep"] = ""
    else:
        content |= _recipe(name, template)
    content[RECIPES / SCHEMA] = (files("ingot") / "recipe" / SCHEMA).read_text(encoding="utf-8")
    return Started(directory, _write(directory, content), fleet, worker)


def add_recipe(directory: Path, name: str, *, template: str) -> Started:
    """Write the recipe ``name`` into the project in ``directory``. Raises InputError, as start_project."""
    _check_template(template, tuple(TEMPLATES))
    if not (directory / "cdk.json").is_file():
        raise InputError(
            f"there is no cdk.json in {directory.resolve()}: a recipe is added to a project",
            hint="run this where app.py and cdk.json are, or start a project with: ingot init DIRECTORY",
        )
    content = _recipe(name, template)
    if not (directory / RECIPES / SCHEMA).exists():
        content[RECIPES / SCHEMA] = (files("ingot") / "recipe" / SCHEMA).read_text(encoding="utf-8")
    return Started(directory, _write(directory, content), _fleet(name), _worker(name, template))


def _check_template(template: str, known: tuple[str, ...]) -> None:
    if template not in known:
        raise InputError(f"unknown template {template!r}", hint=f"use one of: {', '.join(known)}")


def _recipe(name: str, template: str) -> dict[Path, str]:
    if not _RECIPE_NAME.fullmatch(name):
        raise InputError(
            f"{name!r} cannot be the name of a recipe",
            hint="use up to 31 lowercase letters, digits and '-', starting with a letter",
        )
    source = files("ingot") / "templates" / "recipes" / template
    return {RECIPES / name / path: text for path, text in _filled(source, {"NAME": name})}


def _fleet(recipe: str) -> str:
    """Return the line of app.py for a fleet of a recipe: "WebShop": "web-shop",."""
    return f'"{_stack(recipe)}": "{recipe}",'


def _worker(recipe: str, template: str) -> str | None:
    """Return the line of app.py for a fleet that serves nobody; None for one that does."""
    return f'"{_stack(recipe)}",' if template in WORKERS else None


def _stack(recipe: str) -> str:
    return "".join(word.capitalize() for word in recipe.split("-"))


def _filled(
    source: Traversable, values: Mapping[str, str], below: Path = Path()
) -> Iterator[tuple[Path, str]]:
    """Yield path and text of each file of a template, with ``@KEY@`` replaced by its value.

    ``dot-`` at the beginning of a name stands for a dot: what begins with one is easily overlooked, or has a
    meaning to Git in this repository, too.
    """
    for entry in sorted(source.iterdir(), key=lambda entry: entry.name):
        if entry.name == "__pycache__":
            continue
        name = re.sub(r"^dot-", ".", entry.name)
        for key, value in values.items():
            name = name.replace(f"@{key}@", value)
        if entry.is_dir():
            yield from _filled(entry, values, below / name)
            continue
        text = entry.read_text(encoding="utf-8")
        for key, value in values.items():
            text = text.replace(f"@{key}@", value)
        yield below / name, text


def _write(directory: Path, content: Mapping[Path, str]) -> tuple[Path, ...]:
    """Write the files; raise InputError, with nothing written, if one of them is there."""
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory} is a file", hint="choose another directory")
    existing = [path for path in content if (directory / path).exists() or (directory / path).is_symlink()]
    if existing:
        more = f" and {len(existing) - 1} more already exist" if len(existing) > 1 else " already exists"
        raise InputError(
            f"{directory / existing[0]}{more}; nothing was written",
            hint="choose another directory or another name",
        )
    for path, text in content.items():
        write_atomically(directory / path, text, mode=0o755 if text.startswith("#!") else 0o644)
    return tuple(sorted(content))
