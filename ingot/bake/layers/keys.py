"""The keys of what is kept of bakes: digests of all that decides what it holds, with the engine's code."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Iterable, Mapping

ENGINE = Path(__file__).parent.parent


def key_of(inputs: Mapping[str, object]) -> str:
    """Return the key of what is made of ``inputs``, values that JSON has."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def code_digest(files: Iterable[Path]) -> str:
    """Return the digest of files of the engine, or of what it stands on, and of their names."""
    digest = hashlib.sha256()
    for file in sorted(files):
        name = str(file.relative_to(ENGINE.parent))
        digest.update(name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
