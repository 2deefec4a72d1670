"""What differs in lists of named things: users, groups, services, tests, the system itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

ADDED, REMOVED, CHANGED = "added", "removed", "changed"
# What is compared: the text of a setting, a number of bytes, what a manifest says of a thing with a name.
T_co = TypeVar("T_co", covariant=True)
Named = Mapping[str, Any]


@dataclass(frozen=True)
class Change(Generic[T_co]):
    """One thing that was added, removed or changed; ``before`` or ``after`` is None when it is not there."""

    name: str
    change: str
    before: T_co | None
    after: T_co | None

    @property
    def description(self) -> str:
        """What there is, or was, or what changed, in a few words."""
        old, new = self.before, self.after
        if old is None or new is None:
            return _words(new if old is None else old)
        if isinstance(old, dict) and isinstance(new, dict):
            keys = [key for key in sorted({*old, *new}) if key != "name" and old.get(key) != new.get(key)]
            return "; ".join(f"{key} {_words(old.get(key))} → {_words(new.get(key))}" for key in keys)
        return f"{_words(old)} → {_words(new)}"

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON's types."""
        plain = {"name": self.name, "change": self.change, "before": self.before, "after": self.after}
        return {**plain, "description": self.description}


def _words(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_words(item)}" for key, item in value.items() if key != "name")
    if isinstance(value, (list, tuple)):
        return "(" + " ".join(_words(item) for item in value) + ")"
    return str(value)


def compare_named(before: Sequence[Named], after: Sequence[Named]) -> list[Change[Named]]:
    """Compare two lists of things that have a name, sorted by it."""
    return compare_values(
        {str(thing["name"]): dict(thing) for thing in before},
        {str(thing["name"]): dict(thing) for thing in after},
    )


def compare_values(before: Mapping[str, T_co], after: Mapping[str, T_co]) -> list[Change[T_co]]:
    """Compare two mappings, sorted by key."""
    changes = []
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old != new:
            change = ADDED if old is None else REMOVED if new is None else CHANGED
            changes.append(Change(name, change, old, new))
    return changes


def compare_services(before: Named, after: Named) -> list[Change[str]]:
    """Compare which units are enabled or masked; a unit that is neither has no state."""
    return compare_values(_states(before), _states(after))


def _states(services: Named) -> dict[str, str]:
    enabled = dict.fromkeys(services.get("enabled", ()), "enabled")
    return {**enabled, **dict.fromkeys(services.get("masked", ()), "masked")}
