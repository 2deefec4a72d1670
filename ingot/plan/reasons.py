"""Why a recipe digest changes: the differences of two canonical forms, each with its place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingot.recipe.schema.model import Recipe
from ingot.recipe.syntax.document import At

# What tells two entries of a list apart; an entry of none of these is its own name.
KEYS = ("name", "target", "run", "finding")
# Characters of a value in a reason; what is longer is named by its beginning, and says so.
VALUE_LENGTH = 80


@dataclass(frozen=True)
class Reason:
    """One difference that makes a digest another one.

    ``place``: FILE:LINE, with "before" behind it where the line is gone.
    """

    place: str
    what: str

    def to_json(self) -> dict[str, str]:
        """Return it as plain data."""
        return {"place": self.place, "what": self.what}


@dataclass(frozen=True)
class Form:
    """A recipe as one revision has it: the canonical form that its digest is of, and where its files are."""

    recipe: Recipe
    canonical: dict[str, Any]
    root: Path
    """The project's directory; places are told from there."""

    def place(self, at: At, *, key: bool = False) -> str:
        """Return FILE:LINE of a value of the recipe."""
        place = self.recipe.document.place(at, key=key)
        return f"{self.shown(getattr(place, 'file', self.recipe.document.path))}:{place.line}"

    def shown(self, path: Path) -> str:
        """Return a path as seen from the project."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)

    @property
    def stages(self) -> tuple[str, ...]:
        """The names of the recipe's stages."""
        return tuple(self.canonical.get("stages", {}))

    def stage(self, name: str) -> Form:
        """Return the form of a stage."""
        return Form(self.recipe.stage(name), self.canonical["stages"][name], self.root)

    def lock_place(self, name: str | None = None) -> str:
        """Return the lock's path, and the line of a package in it."""
        shown = self.shown(self.recipe.lock_path)
        if name is None:
            return shown
        wanted = f'"name": {json.dumps(name)},'
        lines = self.recipe.lock_path.read_text(encoding="utf-8").splitlines()
        found = next((number for number, line in enumerate(lines, 1) if wanted in line), None)
        return shown if found is None else f"{shown}:{found}"


def reasons(before: Form, after: Form) -> list[Reason]:
    """Return every difference of the canonical forms, in the order: engine, recipe, lock, files, stages."""
    found: list[Reason] = []
    old, new = before.canonical["engine_format"], after.canonical["engine_format"]
    if old != new:
        found.append(Reason("ingot", f"the engine's format: {old} → {new}; every image is baked again"))
    return [*found, *_differences(before, after), *_stages(before, after)]


def _differences(before: Form, after: Form) -> list[Reason]:
    return [*_recipe(before, after), *_lock(before, after), *_files(before, after)]


def _stages(before: Form, after: Form) -> Iterator[Reason]:
    for name in sorted({*before.stages, *after.stages}):
        if name not in after.stages:
            yield Reason(f"{before.place(('stages', name), key=True)} before", f"- stage {name}")
        elif name not in before.stages:
            yield Reason(after.place(("stages", name), key=True), f"+ stage {name}")
        else:
            for reason in _differences(before.stage(name), after.stage(name)):
                yield Reason(reason.place, f"stage {name}: {reason.what}")


def _recipe(before: Form, after: Form) -> Iterator[Reason]:
    for olds, news, what in _compare(before.canonical["recipe"], after.canonical["recipe"], (), ()):
        if news is not None:
            yield Reason(after.place(_in_document(after, news), key=True), what)
        else:
            yield Reason(f"{before.place(_in_document(before, olds or ()), key=True)} before", what)


def _in_document(form: Form, at: At) -> At:
    """Return where a value of the canonical form stands in the document: packages are sorted there."""
    if len(at) == 2 and at[0] == "packages":
        name = form.canonical["recipe"]["packages"][int(at[1])]
        written = form.recipe.packages
        return ("packages", written.index(name)) if name in written else ("packages",)
    return at


Difference = tuple[At | None, At | None, str]


def _compare(old: Any, new: Any, old_at: At, new_at: At) -> Iterator[Difference]:  # noqa: ANN401 - JSON
    """Yield (place before, place after, what) for each difference of two JSON values."""
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            if key not in new:
                yield (*old_at, key), None, f"- {_name((*old_at, key))}: {_value(old[key])}"
            elif key not in old:
                yield None, (*new_at, key), f"+ {_name((*new_at, key))}: {_value(new[key])}"
            else:
                yield from _compare(old[key], new[key], (*old_at, key), (*new_at, key))
    elif isinstance(old, list) and isinstance(new, list):
        yield from _compare_lists(old, new, old_at, new_at)
    else:
        yield old_at, new_at, f"{_name(new_at)}: {_value(old)} → {_value(new)}"


def _compare_lists(old: list[Any], new: list[Any], old_at: At, new_at: At) -> Iterator[Difference]:
    olds, news = _by_key(old), _by_key(new)
    for key, number in olds.items():
        if key not in news:
            yield (*old_at, number), None, f"- {_name(old_at)}: {_value(old[number])}"
    for key, number in news.items():
        if key in olds:
            yield from _compare(old[olds[key]], new[number], (*old_at, olds[key]), (*new_at, number))
        else:
            yield None, (*new_at, number), f"+ {_name(new_at)}: {_value(new[number])}"
    order = [[key for key in keys if key in others] for keys, others in ((olds, news), (news, olds))]
    if order[0] != order[1]:
        yield old_at, new_at, f"{_name(new_at)}: in another order"


def _by_key(items: list[Any]) -> dict[tuple[str, int], int]:
    """Return the number of each item by its name; equal names are told apart by their count."""
    found: dict[tuple[str, int], int] = {}
    for number, item in enumerate(items):
        key = next((str(item[key]) for key in KEYS if key in item), None) if isinstance(item, dict) else None
        name, count = key if key is not None else json.dumps(item, sort_keys=True), 0
        while (name, count) in found:
            count += 1
        found[(name, count)] = number
    return found


def _name(at: At) -> str:
    return ".".join(str(step) for step in at if not isinstance(step, int))


def _value(value: Any) -> str:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict) and (key := next((key for key in KEYS if key in value), None)):
        value = value[key]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= VALUE_LENGTH else f"{text[:VALUE_LENGTH]}… ({len(text)} characters)"


def _lock(before: Form, after: Form) -> Iterator[Reason]:
    old, new = before.canonical["lock"], after.canonical["lock"]
    for key in sorted((old.keys() | new.keys()) - {"packages", "requested"}):
        if old.get(key) != new.get(key):
            yield Reason(after.lock_place(), f"{key}: {_value(old.get(key))} → {_value(new.get(key))}")
    packages = [{(p["name"], p["role"]): p for p in lock.get("packages", [])} for lock in (old, new)]
    for at in sorted(packages[0].keys() | packages[1].keys()):
        was, now, name = packages[0].get(at), packages[1].get(at), at[0]
        if was == now:
            continue
        if now is None:
            yield Reason(
                f"{before.lock_place(name)} before", f"- package {name} {was['version'] if was else ''}"
            )
        elif was is None:
            yield Reason(after.lock_place(name), f"+ package {name} {now['version']}")
        else:
            yield Reason(after.lock_place(name), f"package {name} {_package_change(was, now)}")
    yield from _requested(old.get("requested", {}), new.get("requested", {}), after.lock_place())


def _requested(old: dict[str, list[str]], new: dict[str, list[str]], place: str) -> Iterator[Reason]:
    for key in sorted(old.keys() | new.keys()):
        was, now = old.get(key, []), new.get(key, [])
        names = [f"+ {name}" for name in now if name not in was] + [
            f"- {name}" for name in was if name not in now
        ]
        if names:
            yield Reason(place, f"asked for by name ({key}): {', '.join(names)}")


def _package_change(was: dict[str, Any], now: dict[str, Any]) -> str:
    if was["version"] != now["version"]:
        return f"{was['version']} → {now['version']}"
    changed = [key for key in sorted(was.keys() | now.keys()) if was.get(key) != now.get(key)]
    return f"{now['version']}: another {', '.join(changed)}"


def _files(before: Form, after: Form) -> Iterator[Reason]:
    files = [{file["target"]: file for file in form.canonical["files"]} for form in (before, after)]
    for target in sorted(files[0].keys() | files[1].keys()):
        was, now = files[0].get(target), files[1].get(target)
        if was == now:
            continue
        if now is None:
            yield Reason(f"{_source(before, was or {})} before", f"- {target}")
        elif was is None:
            yield Reason(_source(after, now), f"+ {target}")
        else:
            keys = ("kind", "mode", "owner", "group", "link", "stage", "path")
            changed = [key for key in keys if was.get(key) != now.get(key)]
            what = [f"{key} {was.get(key)} → {now.get(key)}" for key in changed]
            if was.get("sha256") != now.get("sha256"):
                what.insert(0, "another content")
            yield Reason(_source(after, now), f"{target}: {', '.join(what) or 'another source'}")


def _source(form: Form, file: dict[str, Any]) -> str:
    source = file.get("source")
    return form.shown(form.recipe.directory / source if source else form.recipe.document.path)
