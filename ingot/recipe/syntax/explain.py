"""Turns pydantic's errors into Problems: where, what was found, what was expected, a hint."""

from __future__ import annotations

import difflib
import typing

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from ingot.errors import Problem
from ingot.recipe.syntax.document import At, Document, shortened

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "string_too_short": "text that is not empty",
}


# Keys that a message can hold: those of a recipe, not those of an environment.
FEW = 40


def wrong(found: str, expected: str, hint: str | None = None) -> PydanticCustomError:
    """Return an error for a validator to raise; :func:`problems_of` shows it in these words."""
    context: dict[str, object] = {"found": found, "expected": expected, "hint": hint}
    return PydanticCustomError("ingot", "{found}, expected {expected}", context)


def problems_of(
    error: ValidationError, document: Document, model: type[BaseModel], page: str = "docs/recipe.md"
) -> list[Problem]:
    """Return a Problem for each error of a validation, at its place in the document.

    ``page`` is what has all keys.
    """
    errors = error.errors(include_url=False)
    unknown = [tuple(details["loc"]) for details in errors if details["type"] == "extra_forbidden"]
    return [
        _problem(details, document, model, page) for details in errors if not _is_misspelt(details, unknown)
    ]


def _is_misspelt(details: ErrorDetails, unknown: list[At]) -> bool:
    """Tell whether a key is missing because one beside it misspells it: that one is reported."""
    at = tuple(details["loc"])
    return details["type"] == "missing" and any(
        other[:-1] == at[:-1] and close_to(str(other[-1]), [str(at[-1])]) for other in unknown
    )


def close_to(word: str, words: typing.Iterable[str]) -> str | None:
    """Return "did you mean …?" with the words nearest to ``word``; None when none is near."""
    near = difflib.get_close_matches(word, list(words), n=3, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else None


def close_to_package(word: str, names: typing.Iterable[str]) -> str | None:
    """Return "did you mean …?" of tens of thousands of names, where something is always a little alike; None
    when nothing is near.

    Near are names of the same letters in another order (nginx for ngnix), those that go on after the word
    (mysql-common for mysql), and those that differ by a letter or two, but not by the first.
    """
    alike = [name for name in names if name[:1] == word[:1]]
    longer = sorted(
        (name for name in alike if name.startswith(f"{word}-")), key=lambda name: (len(name), name)
    )
    letters = sorted(word)
    swapped = [name for name in alike if len(name) == len(word) and sorted(name) == letters and name != word]
    near = dict.fromkeys([*swapped, *longer[:2], *difflib.get_close_matches(word, alike, n=2, cutoff=0.85)])
    return f"did you mean {' or '.join(near)}?" if near else None


def _problem(details: ErrorDetails, document: Document, model: type[BaseModel], page: str) -> Problem:
    at: At = tuple(details["loc"])
    kind, context = details["type"], details.get("ctx", {})
    if kind == "ingot":
        return document.problem(at, context["found"], context["expected"], context.get("hint"))
    if kind == "extra_forbidden":
        return _unknown_key(at, document, model, page)
    if kind == "missing":
        return document.problem(at[:-1], f"missing key {at[-1]!r}", f"{at[-1]!r} here: it has no default")
    found = described(details["input"])
    expected = _EXPECTED.get(kind) or details["msg"].removeprefix("Input should be ")
    if kind == "literal_error" and isinstance(details["input"], str):
        choices = context["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        return document.problem(at, found, expected, close_to(details["input"], choices))
    return document.problem(at, found, expected, _spelling(at, kind, details["input"]))


def _spelling(at: At, kind: str, value: object) -> str | None:
    """Return how to write a value that is right but for its type; None when that cannot be told."""
    if kind == "string_type" and at[-1:] == ("mode",):
        return 'put it in quotes: "0644"'
    if kind == "string_type" and isinstance(value, bool | int | float):
        return f'put it in quotes: "{described(value).rpartition(" ")[2]}"'
    if kind == "int_type" and isinstance(value, str) and value.isdecimal():
        return f"leave out the quotes: {value}"
    if kind in ("tuple_type", "list_type") and isinstance(value, str) and value.isprintable():
        return f"write [{shortened(value)}]"
    if kind == "greater_than_equal" and at[-1:] in (("uid",), ("gid",)):
        return "the ids below 100 are the distribution's"
    return None


def _unknown_key(at: At, document: Document, model: type[BaseModel], page: str) -> Problem:
    known = _keys_at(model, at[:-1])
    hint = close_to(str(at[-1]), known) or (None if len(known) <= FEW else f"{page} has all keys")
    expected = f"one of {', '.join(known)}" if len(known) <= FEW else ""
    return document.problem(at, f"unknown key {at[-1]!r}", expected, hint, key=True)


def described(value: object) -> str:
    """Return a value of a recipe in words, such as "text 'x'" or "a list"."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = repr(value)
    kind = "text" if isinstance(value, str) else "the number"
    return f"{kind} {text if len(text) <= 60 else text[:57] + '…'}"


def _keys_at(model: type[BaseModel], at: At) -> list[str]:
    """Return the keys of the mapping at ``at``: the model's fields, found by walking its annotations."""
    steps = iter(at)
    for step in steps:
        if isinstance(step, int):
            continue
        annotation = model.model_fields[step].annotation
        inner = _model_in(annotation)
        if inner is None:
            return []
        if typing.get_origin(annotation) is dict:
            next(steps, None)  # its key is a name, and no field
        model = inner
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in typing.get_args(annotation):
        if (found := _model_in(argument)) is not None:
            return found
    return None
