"""What a command printed with --json, held against docs/output.schema.json."""

import json
from typing import Any

import jsonschema

from tests import ROOT

SCHEMA = json.loads((ROOT / "docs" / "output.schema.json").read_text())


def document_of(command: str, output: str | dict[str, Any]) -> Any:
    """Return the one document of an output, which must be as the schema says of ``ingot COMMAND``.

    A dictionary is printed first: JSON has no tuples.
    """
    found = json.loads(output if isinstance(output, str) else json.dumps(output))
    wanted = {"$ref": f"#/$defs/ingot {command}", "$defs": SCHEMA["$defs"]}
    jsonschema.Draft202012Validator(wanted).validate(found)
    return found
