"""The keys of recipes, from their JSON Schema: what editors show as well."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ingot.recipe.schema.json_schema import schema_text
from tools.site.reference.markdown import code, escaped, table

# Any value may be a variable instead: said once, not in each row.
VARIABLE = r"\$\{[A-Za-z_]"
Schema = Mapping[str, Any]


def recipe_keys() -> str:
    """Return a table of the top level, and one of each mapping that it holds."""
    schema = json.loads(schema_text())
    parts: Schema = schema["$defs"]
    sections = ["## Top level\n\n" + _keys(schema, parts)]
    sections += [
        f"## {name}\n\n{escaped(part.get('description', ''))}\n\n{_keys(part, parts)}"
        for name, part in sorted(parts.items())
    ]
    return "\n\n".join(sections)


def _keys(mapping: Schema, parts: Schema) -> str:
    required = mapping.get("required", ())
    rows = []
    for key, value in mapping["properties"].items():
        default = "required" if key in required else _default(value.get("default"))
        rows.append([code(key), _type(value), default, escaped(_description(value, parts))])
    return table(["key", "value", "default", "meaning"], rows)


def _default(value: object) -> str:
    if value in (None, [], {}, ""):
        return ""
    return code(value if isinstance(value, str | int) else json.dumps(value))


def _description(value: Schema, parts: Schema) -> str:
    """Return a key's own description, or else that of the mapping that it holds."""
    if "description" in value:
        return str(value["description"])
    names = [name for each in (value, value.get("items", {})) for name in _references(each)]
    return str(parts[names[0]].get("description", "")) if len(names) == 1 else ""


def _references(value: Schema) -> Iterator[str]:
    if "$ref" in value:
        yield value["$ref"].rpartition("/")[2]
    for choice in value.get("anyOf", ()):
        yield from _references(choice)


def _type(value: Schema) -> str:
    """Return in words what a key takes."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "enum" in value:
        return ", ".join(code(choice) for choice in value["enum"])
    if "const" in value:
        return code(value["const"])
    choices = [each for each in value.get("anyOf", ()) if each != {"type": "null"}]
    choices = [each for each in choices if each.get("pattern") != VARIABLE]
    if choices:
        return " or ".join(dict.fromkeys(_type(each) for each in choices))
    if value.get("type") == "array":
        return f"list of {_type(value['items'])}" if "items" in value else "list"
    if value.get("type") == "object":
        return "mapping"
    words = {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true` or `false`"}
    word = words[value["type"]]
    example = next(iter(value.get("examples", ())), None)
    return word if example is None else f"{word}, such as {code(example)}"
