"""What a command printed with --json, held against docs/output.schema.json."""

import json
from typing import Any

import jsonschema

from tests import ROOT

SCHEMA = json.loads((ROOT / "docs" / "output.schema.json").read_text())


def told(command: str, text: str) -> Any:
    """Return the one document of ``text``, which must be as the schema says of ``ingot COMMAND``."""
    found = json.loads(text)
    wanted = {"$ref": f"#/$defs/ingot {command}", "$defs": SCHEMA["$defs"]}
    jsonschema.Draft202012Validator(wanted).validate(found)
    return found
