"""The record of a boot: how an image started, what its console said, and how its tests ended.

`ingot boot --record` and `ingot plan --boot` write it; plans and reports read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FORMAT = 1


@dataclass(frozen=True)
class Outcome:
    """How one test of a recipe ended. ``problem`` is None when it passed.

    ``where`` is outside or inside the machine; None of a machine that did not start.
    """

    name: str
    problem: str | None
    where: str | None
    at: float
    """Seconds since power-on."""

    @property
    def ok(self) -> bool:
        """Whether it passed."""
        return self.problem is None

    def __str__(self) -> str:
        name = f"{self.name} (from outside)" if self.where == "outside" else self.name
        return f"ok      {name}" if self.problem is None else f"FAILED  {name}: {self.problem}"

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        plain = {"name": self.name, "ok": self.ok, "at": self.at, "detail": self.problem or ""}
        return plain if self.where is None else {**plain, "where": self.where}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Outcome:
        """Return what :meth:`to_json` made ``plain`` of."""
        where = plain.get("where")
        return cls(
            str(plain["name"]),
            None if plain["ok"] else str(plain.get("detail")),
            None if where is None else str(where),
            float(plain.get("at", 0)),
        )


@dataclass(frozen=True)
class BootRecord:
    """A boot that is over. ``recipe`` and ``digest`` name the image.

    ``machine`` says what it ran on, None of one that did not start. ``seconds`` and the times of ``lines``,
    those of the console, count from power-on.
    """

    recipe: str
    digest: str
    machine: str | None
    seconds: float
    tests: tuple[Outcome, ...]
    lines: tuple[tuple[float, str], ...]

    @property
    def ok(self) -> bool:
        """Whether there was a test, and all of them passed."""
        return bool(self.tests) and all(test.ok for test in self.tests)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "format": FORMAT,
            "recipe": self.recipe,
            "digest": self.digest,
            "machine": self.machine,
            "seconds": self.seconds,
            "tests": [test.to_json() for test in self.tests],
            "lines": [list(line) for line in self.lines],
        }

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> BootRecord:
        """Return what :meth:`to_json` made ``plain`` of.

        Raises LookupError, TypeError or ValueError for what is no record of this format.
        """
        if plain.get("format", FORMAT) != FORMAT:
            raise ValueError(f"a record of format {plain['format']!r}; this program reads format {FORMAT}")
        machine = plain.get("machine")
        return cls(
            str(plain["recipe"]),
            str(plain["digest"]),
            None if machine is None else str(machine),
            float(plain["seconds"]),
            tuple(map(Outcome.from_json, plain["tests"])),
            tuple((float(at), str(text)) for at, text in plain.get("lines", ())),
        )
