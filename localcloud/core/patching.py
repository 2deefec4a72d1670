"""The one way in which the local cloud changes moto, with undo.

Every replacement is recorded, and all of them can be undone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

_ABSENT = object()


class Patches:
    """What a running cloud replaced in moto and in the environment.

    Replacements stack: the original of a method that was replaced before is the earlier replacement.
    """

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []

    def replace(self, owner: object, name: str, make: Callable[[Any], Any]) -> None:
        """Set ``owner.name`` to what ``make`` returns for the original (None when there is none)."""
        replacement = make(getattr(owner, name, None))
        own = vars(owner).get(name, _ABSENT)
        # Deleting an attribute that was inherited brings the inherited one back.
        self._undo.append(
            (lambda: delattr(owner, name)) if own is _ABSENT else (lambda: setattr(owner, name, own))
        )
        setattr(owner, name, replacement)

    def add(self, owner: object, **attributes: object) -> None:
        """Set attributes that need no original: moto lacks them, or they do all of the work themselves."""
        for name, method in attributes.items():
            self.replace(owner, name, _constant(method))

    def set_item(self, mapping: MutableMapping[str, Any], key: str, value: object) -> None:
        """Set one item of a mapping."""
        before = mapping.get(key, _ABSENT)
        self._undo.append(
            (lambda: mapping.__delitem__(key))
            if before is _ABSENT
            else (lambda: mapping.__setitem__(key, before))
        )
        mapping[key] = value

    def set_environment(self, variables: Mapping[str, str]) -> None:
        """Set variables of this process's environment."""
        for name, value in variables.items():
            self.set_item(os.environ, name, value)

    def undo(self) -> None:
        """Put everything back, the newest replacement first."""
        while self._undo:
            self._undo.pop()()


def _constant(value: object) -> Callable[[Any], Any]:
    return lambda _original: value
