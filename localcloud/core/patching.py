"""Replaces methods of moto and puts them back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from localcloud.core.moto_types import Moto


class Patches:
    """The methods of moto that one part of the cloud replaces, so that its ``stop`` can put them back."""

    def __init__(self) -> None:
        self._originals: list[tuple[Any, str, Any]] = []

    def replace(self, owner: Moto, name: str, make: Callable[[Any], Any]) -> None:
        """Set ``owner.name`` to what ``make`` returns for the original (None when there is none)."""
        original = getattr(owner, name, None)
        self._originals.append((owner, name, vars(owner).get(name)))
        setattr(owner, name, make(original))

    def undo(self) -> None:
        """Put everything back, the newest replacement first."""
        while self._originals:
            owner, name, original = self._originals.pop()
            if original is None:
                delattr(owner, name)  # it was inherited, or was not there at all
            else:
                setattr(owner, name, original)
