"""Plans and image diffs as JSON, written and read: a trusted program can report what was compared elsewhere.

The JSON that is read may be hostile. Words that Ingot prints as they are must be its own; all other text is
escaped where it is shown. It is read by hand because its form is not that of the results, so that models of
it would be a second set of classes (docs/decisions/0017-layout.md).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TextIO, TypeVar

from ingot.diff.blocks import Blocks
from ingot.diff.changes import Change
from ingot.diff.compare import FORMAT, ImageDiff, ImageIdentity
from ingot.diff.files.changes import BOOKKEEPING, PACKAGE, RECIPE, File, FileChange, TextDiff
from ingot.diff.packages.changes import Changelog, ChangelogEntry, Package, PackageChange
from ingot.errors import InputError
from ingot.escape import shortened
from ingot.files import write_output
from ingot.plan.boots import BootRecord
from ingot.plan.forecast import Forecast
from ingot.plan.images import ImagePlan
from ingot.plan.infrastructure.fold import Folded
from ingot.plan.infrastructure.stacks import StackPlan
from ingot.plan.infrastructure.template_diff import ElementChange, ResourceChange, SecurityChange
from ingot.plan.reasons import Reason
from ingot.plan.recipes import RecipeChange
from ingot.plan.result import DANGEROUS, NOTHING, SOMETHING, BaseRevision, Plan
from ingot.plan.result import FORMAT as PLAN_FORMAT
from ingot.plan.rollout import Rollout
from ingot.report.diff.summary import SIGNS

CHANGES = (
    "system", "dependencies", "stages", "users", "groups", "services", "ports", "tests", "hygiene", "size",
)  # fmt: skip
Plain = Mapping[str, Any]
Part = TypeVar("Part", Reason, Folded, RecipeChange, Rollout, StackPlan)
_WRONG = (LookupError, ArithmeticError, TypeError, ValueError, AttributeError)


def plan_json(plan: Plan) -> str:
    """Return a plan as JSON. It is ASCII: the name of a file in an image may be no UTF-8."""
    return json.dumps(plan.to_json(), indent=1, sort_keys=True)


def write_report(path: Path, text: str) -> None:
    """Write a report; raise InputError for a file that cannot be written."""
    try:
        write_output(path, text)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error


def load_plan(path: Path, stdin: TextIO) -> Plan:
    """Return the plan in a file, "-" being ``stdin``; raise InputError for one that cannot be read, or that
    holds none.
    """
    try:
        text = stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not JSON: {error}", hint="make it with: ingot plan --json") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    return read_plan(text, str(path))


def read_plan(text: str, name: str) -> Plan:
    """Return the plan of the file ``name``, whose content is ``text``; raise InputError for what is none."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} is not JSON: {error}", hint="make it with: ingot plan --json") from error
    if not isinstance(content, dict):
        raise InputError(f"{name} is no plan", hint="make it with: ingot plan --json")
    return plan_from_json(content)


def plan_from_json(plain: Plain) -> Plan:
    """Return the plan that ``Plan.to_json`` made ``plain`` of; see also :func:`image_diff_from_json`.

    Raises InputError for what is none, or is of a newer version.
    """
    if plain.get("format") != PLAN_FORMAT:
        raise InputError(
            f"a plan of format {plain.get('format')!r}; this program reads format {PLAN_FORMAT}",
            hint="make the plan and the comment with the same version of Ingot",
        )
    try:
        return Plan(
            verdict=_known(plain["verdict"], (NOTHING, SOMETHING, DANGEROUS)),
            dangerous=tuple(map(str, plain["dangerous"])),
            base=BaseRevision(str(plain["base"]["commit"]), str(plain["base"]["how"])),
            head=str(plain["head"]["commit"]),
            dirty=tuple(map(str, plain["head"]["dirty"])),
            deployed=plain["against"] == "deployed",
            notes=tuple(map(str, plain["notes"])),
            recipes=tuple(
                _part(RecipeChange, recipe, reasons=tuple(_part(Reason, why) for why in recipe["reasons"]))
                for recipe in plain["recipes"]
            ),
            images=tuple(_image_plan(image) for image in plain["images"]),
            stacks=tuple(
                _part(
                    StackPlan,
                    stack,
                    folded=tuple(_part(Folded, folded) for folded in stack["folded"]),
                    resources=tuple(map(ResourceChange.from_json, stack["resources"])),
                    other=tuple(map(ElementChange.from_json, stack["other"])),
                    security=None
                    if stack["security"] is None
                    else SecurityChange.from_json(stack["security"]),
                    template=None,
                )
                for stack in plain["stacks"]
            ),
            rollouts=tuple(
                _part(
                    Rollout,
                    rollout,
                    forecasts=tuple(map(Forecast.from_json, rollout.get("forecasts", ()))),
                )
                for rollout in plain["rollouts"]
            ),
            boots=tuple(map(BootRecord.from_json, plain.get("boots", ()))),
        )
    except _WRONG as error:
        raise InputError(f"no plan as `ingot plan --json` writes it: {error!r}") from error


def _part(kind: type[Part], plain: Plain, **values: Any) -> Part:  # noqa: ANN401 - of any field
    """Return a part of a plan: ``plain`` has its fields under their own names, but for ``values``."""
    found: dict[str, Any] = {
        field.name: plain[field.name] for field in fields(kind) if field.name not in values
    }
    frozen: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in found.items()
    }
    return kind(**frozen, **values)


def _image_plan(plain: Plain) -> ImagePlan:
    return ImagePlan(
        recipe=str(plain["recipe"]),
        environment=plain["environment"],
        before=plain["before"],
        after=str(plain["after"]),
        state=_known(plain["state"], ("published", "stored", "missing", "unused", "failed")),
        ami=plain["ami"],
        asked=bool(plain["registry_asked"]),
        diff=None if plain["diff"] is None else image_diff_from_json(plain["diff"]),
        no_diff=plain["no_diff"],
        on_ami=bool(plain.get("on_ami")),
    )


def _known(word: object, words: Collection[str]) -> str:
    if not isinstance(word, str) or word not in words:
        raise ValueError(f"{shortened(repr(word), 60)} is none of {', '.join(words)}")
    return word


def image_diff_from_json(plain: Plain) -> ImageDiff:
    """Return the diff that ``ImageDiff.to_json`` made ``plain`` of.

    Of the manifests it has no more than their identity.

    Raises InputError for what is none, or is of a newer version.
    """
    if plain.get("format") != FORMAT:
        raise InputError(
            f"an image diff of format {plain.get('format')!r}; this program reads format {FORMAT}",
            hint="make it and show it with the same version of Ingot",
        )
    try:
        return ImageDiff(
            before=_identity(plain["before"], plain["packages_by_size"]["before"]),
            after=_identity(plain["after"], plain["packages_by_size"]["after"]),
            **{name: [_change(change) for change in plain[name]] for name in CHANGES},
            packages=[_package(package) for package in plain["packages"]],
            files=[_file(file) for file in plain["files"]],
            blocks=Blocks(
                int(plain["blocks"]["block_size"]), tuple((str(k), int(n)) for k, n in plain["blocks"]["map"])
            ),
            dangerous=[str(danger) for danger in plain["dangerous"]],
            notes=[str(note) for note in plain["notes"]],
        )
    except _WRONG as error:
        raise InputError(f"no image diff as `ingot diff --json` writes it: {error!r}") from error


def _identity(plain: Plain | None, sizes: Sequence[tuple[str, int]]) -> ImageIdentity | None:
    if plain is None:
        return None
    return ImageIdentity(
        name=str(plain["name"]),
        recipe_digest=str(plain["recipe_digest"]),
        version=str(plain["version"]),
        architecture=str(plain["architecture"]),
        epoch=int(plain["epoch"]),
        root_digest=_text(plain["root_digest"]),
        packages_by_size=tuple((str(name), int(kib)) for name, kib in sizes),
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _word(plain: Plain, key: str, known: Collection[str]) -> str:
    """Return a word of Ingot's own, which is shown as it is.

    Raises InputError for another one: it may be markup that calls somebody.
    """
    word = plain[key]
    if not isinstance(word, str) or word not in known:
        raise InputError(
            f"unknown {key} {shortened(repr(word), 60)} in an image diff",
            hint=f"use one of: {', '.join(known)}",
        )
    return word


def _change(plain: Plain) -> Change[Any]:
    return Change(str(plain["name"]), _word(plain, "change", SIGNS), plain["before"], plain["after"])


def _package(plain: Plain) -> PackageChange:
    def side(name: str, version: str | None, kib: int | None) -> Package | None:
        if version is None:
            return None
        architecture, source = _text(plain.get("architecture")), _text(plain.get("source"))
        return Package(name, str(version), architecture, int(kib or 0), source)

    name = str(plain["name"])
    before = side(str(plain["former_name"] or name), plain["before"], plain["before_kib"])
    after = side(name, plain["after"], plain["after_kib"])
    if before is None and after is None:
        raise ValueError(f"{name!r} has no version, neither before nor after")
    return PackageChange(name, _word(plain, "change", SIGNS), before, after, _changelog(plain["changelog"]))


def _changelog(plain: Plain | None) -> Changelog | None:
    if plain is None:
        return None
    entries = tuple(ChangelogEntry(**entry) for entry in plain["entries"])
    return Changelog(entries, str(plain["origin"]), int(plain["left_out"]))


def _file(plain: Plain) -> FileChange:
    path = str(plain["path"])

    def side(found: Plain | None) -> File | None:
        if found is None:
            return None
        return File(
            path,
            str(found["type"]),
            str(found["mode"]),
            int(found["uid"]),
            int(found["gid"]),
            int(found["size"]),
            _text(found.get("sha256")),
            _text(found.get("link")),
            int(found.get("layer", 0)),
            {str(name): str(value) for name, value in found.get("xattrs", {}).items()},
        )

    before, after, text = plain["before"], plain["after"], plain["text"]
    if before is None and after is None:
        raise ValueError(f"{path!r} is there neither before nor after")
    return FileChange(
        path=path,
        change=_word(plain, "change", SIGNS),
        before=side(before),
        after=side(after),
        origin=_word(plain, "origin", (RECIPE, PACKAGE, BOOKKEEPING)),
        package=plain["package"],
        aspects=tuple(plain["aspects"]),
        owners=(before and before["owner"], after and after["owner"]),
        text=None if text is None else TextDiff(**{**text, "lines": tuple(text["lines"])}),
    )
