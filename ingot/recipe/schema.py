"""The JSON Schema of recipes, for editors: emitted from the model, shipped as ``recipe.schema.json``.

Make it anew after a change of the model with ``python -m ingot.recipe.schema``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ingot.recipe.model import Base, FileEntry, Recipe, Test

SCHEMA_PATH = Path(__file__).with_name("recipe.schema.json")


def schema_text() -> str:
    """Return the JSON Schema (draft 2020-12) as it is shipped."""
    schema: dict[str, Any] = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    schema |= Recipe.model_json_schema(mode="validation")
    schema["title"] = "Ingot recipe"
    _require_one(schema)
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _require_one(schema: dict[str, Any]) -> None:
    """Say "exactly one of these keys" in the schema as the model's validator does."""
    for model in (Base, FileEntry, Test):
        schema["$defs"][model.__name__]["oneOf"] = [{"required": [choice]} for choice in model.choices]


if __name__ == "__main__":
    SCHEMA_PATH.write_text(schema_text(), encoding="utf-8")
