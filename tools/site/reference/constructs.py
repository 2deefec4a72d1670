"""The constructs, from their signatures and docstrings."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import re
import textwrap
from typing import Any

import ingot.constructs
from tools.site.reference.markdown import code, prose, table

FIELD = re.compile(r"^:(param [\w, \n]+|raises \w+|returns?):", re.MULTILINE)


def constructs() -> str:
    """Return a section for every name that `ingot.constructs` exports."""
    pieces = []
    for name in ingot.constructs.__all__:
        thing = getattr(ingot.constructs, name)
        pieces.append(
            f"## {name}\n\n{_value(thing) if dataclasses.is_dataclass(thing) else _callable(thing)}"
        )
    return "\n\n".join(pieces)


def _value(thing: Any) -> str:
    """Return a value's description and fields: the string below a field describes it."""
    body = [
        statement
        for node in ast.parse(textwrap.dedent(inspect.getsource(thing))).body
        if isinstance(node, ast.ClassDef)
        for statement in node.body
    ]
    described = {
        before.target.id: after.value.value
        for before, after in itertools.pairwise(body)
        if isinstance(before, ast.AnnAssign)
        and isinstance(before.target, ast.Name)
        and isinstance(after, ast.Expr)
        and isinstance(after.value, ast.Constant)
    }
    rows = [
        [
            code(field.name),
            _type(field.type),
            _shown(field.default),
            prose(str(described.get(field.name, ""))),
        ]
        for field in dataclasses.fields(thing)
    ]
    return prose(inspect.getdoc(thing) or "") + "\n\n" + table(["field", "type", "default", "meaning"], rows)


def _callable(thing: Any) -> str:
    """Return a construct's or a function's description and parameters, wherever it describes them."""
    texts = [inspect.getdoc(thing) or ""]
    if inspect.isclass(thing):
        texts.append(inspect.getdoc(thing.__init__) or "")
    summary = ""
    meanings: dict[str, str] = {}
    for text in texts:
        first, *rest = FIELD.split(text)
        summary = summary or first
        for head, meaning in zip(rest[::2], rest[1::2], strict=True):
            kind, _, names = head.partition(" ")
            if kind == "param":
                meanings |= dict.fromkeys(re.split(r",\s*", names), meaning)
    # The signature of a construct's class is that of jsii's metaclass.
    parameters = inspect.signature(thing.__init__ if inspect.isclass(thing) else thing).parameters.values()
    rows = [
        [code(each.name), _type(each.annotation), _shown(each.default), prose(meanings.get(each.name, ""))]
        for each in parameters
        if each.name not in ("self", "scope", "id_")
    ]
    return prose(summary) + "\n\n" + table(["parameter", "type", "default", "meaning"], rows)


def _type(annotation: object) -> str:
    """Return a type in words: a table has other uses for a bar."""
    return code(str(annotation).replace(" | None", "").replace(" | ", " or "))


def _shown(default: object) -> str:
    if default in (inspect.Parameter.empty, dataclasses.MISSING):
        return "required"
    # What None and objects of the CDK stand for, the meaning says.
    return code(default) if isinstance(default, bool | int | float | str) else ""
