"""The JSON Schema of recipes, for editors: emitted from the model, shipped as ``recipe.schema.json``.

After a change of the model, write it again with ``python -m ingot.recipe.schema.json_schema``.
"""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from textwrap import dedent

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core.core_schema import CoreSchema, ModelSchema

from ingot.recipe.schema.model import Recipe
from ingot.recipe.syntax.variables import ENVIRONMENTS, VARIABLES

SCHEMA_PATH = Path(__file__).parent.with_name("recipe.schema.json")

_REFERENCE = {"type": "string", "pattern": r"\$\{[A-Za-z_]"}
# What says something about a key stays beside the choice between its value and a reference.
_OF_THE_KEY = frozenset({"default", "description", "title"})


class RecipeSchema(GenerateJsonSchema):
    """Pydantic's schema of the model, and what only Ingot knows: references, choices, docstrings of keys."""

    def generate(self, schema: CoreSchema, mode: JsonSchemaMode = "validation") -> JsonSchemaValue:
        """Return the schema of the whole recipe."""
        return {"$schema": self.schema_dialect, **super().generate(schema, mode), "title": "Ingot recipe"}

    def model_schema(self, schema: ModelSchema) -> JsonSchemaValue:
        """Return the schema of one mapping."""
        json_schema = super().model_schema(schema)
        model = schema["cls"]
        properties = json_schema["properties"]
        for key, text in _docstrings(model):
            properties[model.model_fields[key].alias or key]["description"] = _one_line(text)
        for key in properties.keys() - {VARIABLES, ENVIRONMENTS}:
            properties[key] = _or_reference(properties[key])
        if "description" in json_schema:
            json_schema["description"] = _one_line(json_schema["description"])
        if choices := getattr(model, "choices", ()):
            json_schema["oneOf"] = [{"required": [choice]} for choice in choices]
        return json_schema


def schema_text() -> str:
    """Return the JSON Schema (draft 2020-12) as it is shipped."""
    schema = Recipe.model_json_schema(schema_generator=RecipeSchema)
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _docstrings(model: type) -> Iterator[tuple[str, str]]:
    """Yield each key of a model that has a docstring below it, and the text.

    Pydantic can describe keys so (`use_attribute_docstrings`), but would do it whenever the model is
    imported, which takes a tenth of the time of a command that has nothing to do.
    """
    [definition] = ast.parse(dedent(inspect.getsource(model))).body
    assert isinstance(definition, ast.ClassDef)  # noqa: S101 - the source of a class
    for attribute, below in pairwise(definition.body):
        match attribute, below:
            case ast.AnnAssign(target=ast.Name(id=key)), ast.Expr(value=ast.Constant(value=str(text))):
                if not key.startswith("_"):
                    yield key, text


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _or_reference(schema: JsonSchemaValue) -> JsonSchemaValue:
    """Let a reference to a variable stand where the value does; where any text can, it can already."""
    if "items" in schema:
        return {**schema, "items": _or_reference(schema["items"])}
    if "anyOf" in schema:
        return {**schema, "anyOf": [_or_reference(choice) for choice in schema["anyOf"]]}
    limited = schema.keys() & {"pattern", "enum", "const"}
    if schema.get("type") in ("integer", "boolean") or (schema.get("type") == "string" and limited):
        value = {key: item for key, item in schema.items() if key not in _OF_THE_KEY}
        about = {key: item for key, item in schema.items() if key in _OF_THE_KEY}
        return {**about, "anyOf": [value, _REFERENCE]}
    return schema


if __name__ == "__main__":
    SCHEMA_PATH.write_text(schema_text(), encoding="utf-8")
