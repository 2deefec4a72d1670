"""Which clones a run has proved already, kept so that one that was broken off goes on."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingot import retry

FORMAT = 1


@dataclass(frozen=True)
class Proof:
    """A clone that equalled its manifest: what it was launched from, and when its inventory was made."""

    instance_id: str
    ami_id: str
    digest: str
    at: float
    """Unix seconds."""


class Proofs:
    """A file with a line for each clone that was proved; it is there from a run's first proof to its end.

    Only proofs are kept. A clone that differs, or said nothing, is asked again. ``file`` None keeps nothing.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._known = {} if file is None else _read(file)

    @classmethod
    def of(cls, directory: Path | None, account: str, region: str, stack: str) -> Proofs:
        """Return those of a stack's fleet; ``directory`` holds the files of all fleets."""
        name = "-".join(re.sub(r"[^A-Za-z0-9]", "_", part) for part in (account, region, stack))
        return cls(None if directory is None else directory / f"{name}.jsonl")

    def forget(self) -> None:
        """Remove what an earlier run left, or this one: it has ended."""
        self._known = {}
        if self._file is not None:
            self._file.unlink(missing_ok=True)

    def at(self, instance_id: str, ami_id: str, digest: str, *, max_age: float) -> float | None:
        """Return when the inventory was made that proved a clone; None: it was not, or that is too long ago.

        A clone that was given another image since then (a new root volume) counts as not proved.
        """
        proof = self._known.get(instance_id)
        if proof is None or (proof.ami_id, proof.digest) != (ami_id, digest):
            return None
        return proof.at if 0 <= retry.wall() - proof.at <= max_age else None

    def add(self, proof: Proof) -> None:
        """Keep a proof. Any thread may call it."""
        if self._file is None:
            return
        values = (FORMAT, proof.instance_id, proof.ami_id, proof.digest, proof.at)
        with self._lock:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(values) + "\n")


def _read(file: Path) -> Mapping[str, Proof]:
    """Return the proofs of a file; a line that was broken off, or is of another version, is none."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return {}
    found = {}
    for line in lines:
        try:
            values: Any = json.loads(line)
            version, instance_id, ami_id, digest, at = values
            if version == FORMAT:
                found[str(instance_id)] = Proof(str(instance_id), str(ami_id), str(digest), float(at))
        except (ValueError, TypeError):
            continue
    return found
