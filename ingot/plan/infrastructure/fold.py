"""Folds the noise of digests: two templates that differ in the digest of an image or asset are made equal.

Each digest that was folded is kept, and reported in one line: "image web: 1a2b3c4d5e6f → 3c4d5e6f7a8b".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HASH = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
REFERENCE = re.compile(r"\{\{resolve:ssm:/ingot/([a-z][a-z0-9-]*)/([0-9a-f]{64})(?::[0-9]+)?\}\}")


@dataclass(frozen=True)
class Folded:
    """One digest that gave way to another.

    ``kind``: image or asset; ``name``: the recipe, or the asset's name.
    """

    kind: str
    name: str
    before: str
    after: str
    places: tuple[str, ...]
    """Paths in the template, such as Resources.Clone.Properties.…"""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "kind": self.kind,
            "name": self.name,
            "before": self.before,
            "after": self.after,
            "places": list(self.places),
        }


def fold(
    before: Mapping[str, Any], after: Mapping[str, Any], assets: Mapping[str, str]
) -> tuple[dict[str, Any], list[Folded]]:
    """Return ``before`` with each digest as ``after`` has it at the same place, and what was folded.

    ``assets`` are the asset hashes of ``after``, with their names. A string is folded when nothing else in it
    differs, and only where an image or asset is named now: any other 64 hex digits may mean something.
    """
    golden = images(after)
    folder = _Folder({**golden, **assets}, frozenset(golden))
    result = folder.value(before, after, "")
    found = [Folded(*key, tuple(places)) for key, places in folder.found.items()]
    return result, found


def images(template: Any) -> dict[str, str]:  # noqa: ANN401 - any JSON value
    """Return the golden images that a template refers to: recipe digest → recipe."""
    if isinstance(template, str):
        return {digest: recipe for recipe, digest in REFERENCE.findall(template)}
    items = (
        template.values() if isinstance(template, dict) else template if isinstance(template, list) else ()
    )
    return {digest: recipe for item in items for digest, recipe in images(item).items()}


class _Folder:
    def __init__(self, known: Mapping[str, str], golden: frozenset[str]) -> None:
        self.known = known
        self.golden = golden
        self.found: dict[tuple[str, str, str, str], list[str]] = {}

    def value(self, old: Any, new: Any, at: str) -> Any:  # noqa: ANN401 - any JSON value
        if isinstance(old, dict) and isinstance(new, dict):
            return {key: self.value(old[key], new.get(key), f"{at}.{key}".lstrip(".")) for key in old}
        if isinstance(old, list) and isinstance(new, list):
            pairs = [(item, new[number] if number < len(new) else None) for number, item in enumerate(old)]
            return [self.value(item, other, f"{at}[{number}]") for number, (item, other) in enumerate(pairs)]
        if isinstance(old, str) and isinstance(new, str) and old != new:
            return self.text(old, new, at)
        return old

    def text(self, old: str, new: str, at: str) -> str:
        if HASH.sub("", old) != HASH.sub("", new):
            return old
        pairs = [
            pair for pair in zip(HASH.findall(old), HASH.findall(new), strict=False) if pair[0] != pair[1]
        ]
        if not all(now in self.known for _, now in pairs):
            return old
        for was, now in pairs:
            kind = "image" if now in self.golden else "asset"
            key = (kind, self.known[now], was, now)
            self.found.setdefault(key, []).append(at)
        return new
