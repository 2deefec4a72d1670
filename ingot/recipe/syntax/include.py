"""One recipe includes another: their documents, merged into one in which every value keeps its own place.

Lists append, the included file's entries first; mappings merge key by key; of two single values that of the
including file counts. ``base`` is one choice and counts as a single value; a name is never taken over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ingot.recipe.syntax.document import At, Document, Place, Plain, read_document, shortened, shown, unusable

INCLUDE = "include"
# Those that ship with Ingot, by their names: ingot:comfort.
SHIPPED = Path(__file__).parent.parent / "includes"
_SHIPPED = "ingot:"
RECIPE_FILE = "recipe.yaml"
# Keys whose mapping is one choice: half of one and half of another means nothing.
WHOLE = frozenset({"base"})
# Keys whose lists are sets of names: one that both files have is named once. A step that both have runs
# twice.
NAMES = frozenset({"packages", "services"})


def read_with_includes(path: Path) -> Document:
    """Return the document at ``path`` with all that it includes; what is wrong is in its problems."""
    return _read(path, (), set())


def _read(path: Path, above: tuple[Path, ...], seen: set[Path]) -> Document:
    document = read_document(path)
    chain = (*above, path.resolve())
    low: Document | None = None
    for at, text in _included(document):
        target = _located(document, at, text)
        if target is None or _goes_round(document, at, target, chain) or target in seen:
            continue  # a file that is reached twice counts once
        seen.add(target)
        included = _part(_read(target, chain, seen))
        low = included if low is None else merged(low, included)
    own = _without(document, INCLUDE)
    return own if low is None else merged(low, own)


def _part(included: Document) -> Document:
    """Return what an included document brings: all but its name."""
    if included.data is not None and not isinstance(included.data, dict):
        included.problems.append(included.problem((), "no mapping", "the keys of a recipe"))
        return replace(included, data=None)
    return _without(included, "name")


def _without(document: Document, key: str) -> Document:
    """Return the document without a key at its top."""
    if not isinstance(document.data, dict) or key not in document.data:
        return document
    return replace(document, data={name: value for name, value in document.data.items() if name != key})


def _included(document: Document) -> Iterator[tuple[At, str]]:
    """Yield what the document includes, each with its place."""
    data = document.data
    if not isinstance(data, dict) or INCLUDE not in data:
        return
    named = data[INCLUDE]
    entries = list(enumerate(named)) if isinstance(named, list) else [(None, named)]
    for number, text in entries:
        at: At = (INCLUDE,) if number is None else (INCLUDE, number)
        if isinstance(text, str) and text:
            yield at, text
        else:
            problem = document.problem(at, "no path", "a path, relative to this file, or a list of them")
            document.problems.append(problem)


def _located(document: Document, at: At, text: str) -> Path | None:
    """Return the file that ``text`` names: relative to the file that names it.

    Of a directory its recipe.yaml. ``ingot:NAME`` is one that ships with Ingot.
    """
    shipped = text.startswith(_SHIPPED)
    target = SHIPPED / f"{text.removeprefix(_SHIPPED)}.yaml" if shipped else document.path.parent / text
    names = sorted(file.stem for file in SHIPPED.glob("*.yaml")) if shipped else []
    fault = unusable(target)
    if shipped and target.stem not in names:
        known = ", ".join(_SHIPPED + name for name in names)
        problem = document.problem(at, f"{shortened(text)}, which Ingot does not have", f"one of {known}")
    elif Path(text).is_absolute():
        problem = document.problem(at, f"the absolute path {text}", "a path relative to this file")
    elif fault is not None:
        problem = document.problem(at, f"the path {shortened(text)}: {fault}", "a path of a file")
    elif not target.exists():
        problem = document.problem(
            at, f"no file {text}", f"it, seen from {shown(document.path.parent.resolve())}/"
        )
    else:
        return (target / RECIPE_FILE if target.is_dir() else target).resolve()
    document.problems.append(problem)
    return None


def _goes_round(document: Document, at: At, target: Path, chain: tuple[Path, ...]) -> bool:
    if target not in chain:
        return False
    circle = " → ".join(shown(file) for file in (*chain[chain.index(target) :], target))
    document.problems.append(
        document.problem(at, f"a circular include: {circle}", "files that do not include themselves")
    )
    return True


def merged(low: Document, high: Document) -> Document:
    """Return ``high`` laid over ``low``; every value and key keeps the place where it was written."""
    problems = [*low.problems, *high.problems]
    if low.data is None:
        return replace(high, problems=problems)
    values: dict[At, Place] = {}
    keys: dict[At, Place] = {}

    def taken(document: Document, old: At, new: At, value: Plain) -> Plain:
        values[new] = document.place(old)
        if old in document.keys:
            keys[new] = document.keys[old]
        if isinstance(value, dict):
            return {key: taken(document, (*old, key), (*new, key), item) for key, item in value.items()}
        if isinstance(value, list):
            return [taken(document, (*old, n), (*new, n), item) for n, item in enumerate(value)]
        return value

    def appended(at: At, below: list[Plain], above: list[Plain]) -> list[Plain]:
        items = [taken(low, (*at, n), (*at, n), item) for n, item in enumerate(below)]
        for number, item in enumerate(above):
            if NAMES.isdisjoint((at[0], at[-1])) or item not in below:
                items.append(taken(high, (*at, number), (*at, len(items)), item))
        return items

    def joined(at: At, below: Plain, above: Plain) -> Plain:
        values[at] = high.place(at)
        if at in high.keys:
            keys[at] = high.keys[at]
        if isinstance(below, list) and isinstance(above, list):
            return appended(at, below, above)
        if not (isinstance(below, dict) and isinstance(above, dict)) or (at and at[-1] in WHOLE):
            return taken(high, at, at, above)
        return {
            key: joined((*at, key), below[key], above[key])
            if key in below and key in above
            else taken(low if key in below else high, (*at, key), (*at, key), {**below, **above}[key])
            for key in {**below, **above}
        }

    data = joined((), low.data, high.data)
    return Document(high.path, data, values, keys, problems)
