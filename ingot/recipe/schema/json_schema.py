"""The JSON Schema of recipes, for editors: emitted from the model, shipped as ``recipe.schema.json``.

Make it anew after a change of the model with ``python -m ingot.recipe.schema.json_schema``.
"""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

from ingot.recipe.schema import model, parts
from ingot.recipe.schema.model import Recipe
from ingot.recipe.schema.parts import Base, FileEntry, Test
from ingot.recipe.syntax.variables import ENVIRONMENTS, VARIABLES

SCHEMA_PATH = Path(__file__).parent.with_name("recipe.schema.json")

REFERENCE = {"type": "string", "pattern": r"\$\{[A-Za-z_]"}


def schema_text() -> str:
    """Return the JSON Schema (draft 2020-12) as it is shipped."""
    schema: dict[str, Any] = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    schema |= Recipe.model_json_schema(mode="validation")
    schema["title"] = "Ingot recipe"
    _describe(schema)
    _require_one(schema)
    _allow_references(schema)
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _describe(schema: dict[str, Any]) -> None:
    """Take the descriptions of the keys from the docstrings below them.

    Pydantic can do that (`use_attribute_docstrings`), but does so whenever the model is imported, which takes a tenth of the time
    of a command that has nothing to do.
    """
    described = {Recipe.__name__: schema, **schema["$defs"]}
    for module in (model, parts):
        for name, key, text in _docstrings(module):
            if name in described:
                described[name]["properties"][key]["description"] = text


def _docstrings(module: ModuleType) -> Iterator[tuple[str, str, str]]:
    """Yield class, attribute and text of each docstring of an attribute."""
    classes = (node for node in ast.parse(inspect.getsource(module)).body if isinstance(node, ast.ClassDef))
    for one in classes:
        for attribute, below in pairwise(one.body):
            match attribute, below:
                case ast.AnnAssign(target=ast.Name(id=key)), ast.Expr(value=ast.Constant(value=str(text))):
                    yield one.name, key, inspect.cleandoc(text)


def _require_one(schema: dict[str, Any]) -> None:
    """Say "exactly one of these keys" in the schema as the model's validator does."""
    for one in (Base, FileEntry, Test):
        schema["$defs"][one.__name__]["oneOf"] = [{"required": [choice]} for choice in one.choices]


def _allow_references(schema: dict[str, Any]) -> None:
    """Let a reference to a variable stand wherever a value stands; where any text can, it can already."""
    own = {key: schema["properties"].pop(key) for key in (VARIABLES, ENVIRONMENTS)}
    for properties in (schema["properties"], *(part["properties"] for part in schema["$defs"].values())):
        for name, value in properties.items():
            properties[name] = _or_reference(value)
    schema["properties"] |= own


def _or_reference(schema: dict[str, Any]) -> dict[str, Any]:
    if "items" in schema:
        return {**schema, "items": _or_reference(schema["items"])}
    if "anyOf" in schema:
        return {**schema, "anyOf": [_or_reference(choice) for choice in schema["anyOf"]]}
    limited = schema.keys() & {"pattern", "enum", "const"}
    if schema.get("type") in ("integer", "boolean") or (schema.get("type") == "string" and limited):
        outer: tuple[str, ...] = ("default", "description", "title")
        kept = {key: item for key, item in schema.items() if key in outer}
        value = {key: item for key, item in schema.items() if key not in outer}
        return {**kept, "anyOf": [value, REFERENCE]}
    return schema


if __name__ == "__main__":
    SCHEMA_PATH.write_text(schema_text(), encoding="utf-8")
