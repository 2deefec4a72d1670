"""environments.yaml: what every environment has in common, and what each has of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from ingot.errors import InputError, Problem
from ingot.recipe.syntax.document import At, Document, part_of, read_document
from ingot.recipe.syntax.explain import close_to, problems_of
from stacks.settings import readers
from stacks.settings.keys import Settings

ENVIRONMENTS_FILE = Path("environments.yaml")
NAME = readers.text(
    r"[a-z][a-z0-9-]{0,19}", "a name of up to 20 lower case letters, digits and -, such as prod"
)
SECTIONS = ("defaults", "environments")
# Read by ingot itself, not by the stacks: the store that machines share.
SHARED = ("store", "store_owner")


@dataclass(frozen=True)
class Environments:
    """The file: settings as they are written there.

    ``document`` knows their places; None where there is no file.
    """

    path: Path
    document: Document | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    named: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def of(self, name: str | None) -> dict[str, Any]:
        """Return the settings of an environment, the defaults included.

        Raise InputError when there is none of the name.
        """
        if name is None:
            return dict(self.defaults)
        if self.document is None:
            raise InputError(
                f"there is no environment {name!r}: there is no file {self.path}",
                hint="write one (docs/environments.md), or leave -c env=… out",
            )
        if name not in self.named:
            raise InputError(
                f"there is no environment {name!r} in {self.path}; there is: "
                f"{', '.join(self.named) or 'none'}",
                hint=close_to(name, self.named),
            )
        return {**self.defaults, **self.named[name]}

    def problem(
        self, name: str | None, keys: tuple[str, ...], what: str, hint: str | None = None
    ) -> Problem | None:
        """Return a Problem at the first of ``keys`` that the file sets for this environment.

        None when it sets none of them.
        """
        if self.document is None:
            return None
        own: list[At] = [] if name is None else [("environments", name, key) for key in keys]
        for at in [*own, *(("defaults", key) for key in keys)]:
            if at in self.document.keys:
                return self.document.problem(at, what, hint=hint, key=True)
        return None


def read_environments(path: Path = ENVIRONMENTS_FILE) -> Environments:
    """Return the environments of a file, all of them checked; no file is no environments.

    Raises InputError with every problem of the file, each with its place.
    """
    if not path.exists():
        return Environments(path)
    document = read_document(path.absolute(), "environments")
    problems = list(document.problems)
    sections = [] if document.data is None else _sections(document, problems)
    for at, _ in sections:
        problems += _problems_of_section(document, at)
    if problems:
        raise InputError(f"{path}: the environments have problems", problems=problems)
    found = dict(sections)
    named = {str(at[1]): data for at, data in found.items() if len(at) == 2}
    return Environments(path, document, found.get(("defaults",), {}), named)


def _sections(document: Document, problems: list[Problem]) -> list[tuple[At, dict[str, Any]]]:
    """Return the place and the data of each section.

    A section without a line of its own is an empty mapping.
    """
    data = document.data
    if not isinstance(data, dict):
        problems.append(document.problem((), "no mapping", f"the keys {' and '.join(SECTIONS)}"))
        return []
    for key in data:
        if key not in (*SECTIONS, *SHARED):
            hint = close_to(key, SECTIONS)
            problems.append(
                document.problem(
                    (key,), f"unknown key {key!r}", f"one of {', '.join(SECTIONS)}", hint, key=True
                )
            )
    named = data.get("environments") or {}
    if not isinstance(named, dict):
        problems.append(document.problem(("environments",), "no mapping", "a mapping: NAME → settings"))
        named = {}
    places: list[At] = [("environments", name) for name in named]
    places += [("defaults",)] if "defaults" in data else []
    found = []
    for at in places:
        section = data["defaults"] if at == ("defaults",) else named[at[1]]
        if section is None or isinstance(section, dict):
            found.append((at, section or {}))
        else:
            problems.append(document.problem(at, "no mapping", "a mapping: setting → value"))
    return found


def _problems_of_section(document: Document, at: At) -> list[Problem]:
    section = part_of(document, at, ())
    problems = []
    if len(at) == 2:
        try:
            NAME(at[1])
        except PydanticCustomError as error:
            expected = (error.context or {})["expected"]
            problems.append(document.problem(at, f"the name {at[1]!r}", expected, key=True))
    try:
        Settings.model_validate(section.data)
    except ValidationError as error:
        problems += problems_of(error, section, Settings, "docs/environments.md")
    return problems
