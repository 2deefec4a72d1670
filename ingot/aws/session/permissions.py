"""Which policy statement a denied call needs, from the policies that docs/security.md proves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ingot

POLICIES = Path(ingot.__file__).parent / "policies"
# Operations whose action has another name.
ACTION_OF = {
    "DeleteObjects": "DeleteObject",
    "ListObjectsV2": "ListBucket",
    "HeadBucket": "ListBucket",
    "HeadObject": "GetObject",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
}


def statement_for(operation: str, directory: Path = POLICIES) -> str | None:
    """Return the statements, as JSON, that allow an operation such as ``RunInstances`` with what we do with
    it.

    None when no policy has it.
    """
    name = ACTION_OF.get(operation, operation)
    found: dict[str, dict[str, Any]] = {}
    for file in sorted(directory.glob("*.json")):
        for statement in json.loads(file.read_text(encoding="utf-8"))["Statement"]:
            for action in statement["Action"]:
                if action.partition(":")[2] == name:
                    found.setdefault(statement["Sid"], {**statement, "Action": action})
    return ",\n    ".join(json.dumps(statement) for statement in found.values()) or None
