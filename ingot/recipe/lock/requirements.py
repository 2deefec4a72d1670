"""The Python packages of a requirements file or a uv.lock, and what they must fit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ingot.errors import Problem
from ingot.recipe.syntax.document import shown


@dataclass(frozen=True)
class PythonTarget:
    """What wheels must fit: ``python`` as 3.11, ``glibc`` as (2, 36), ``machine`` as the kernel calls it."""

    python: str
    glibc: tuple[int, int]
    machine: str

    def environment(self) -> dict[str, str]:
        """Return the environment that markers are told by (PEP 508)."""
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.0",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": f"{self.python}.0",
            "python_version": self.python,
            "sys_platform": "linux",
            "extra": "",
        }


@dataclass(frozen=True)
class PinnedRequirement:
    """One package of a requirements file: where it stands, and the hashes that it may have."""

    name: str
    version: str
    hashes: frozenset[str]
    line: int


@dataclass(frozen=True)
class Requirements:
    """A requirements file or a uv.lock. ``sha256`` is that of its content, ``wanted`` what applies to the
    image.
    """

    path: Path
    sha256: str
    wanted: tuple[PinnedRequirement, ...]

    def problem(self, line: int, found: str, expected: str, hint: str | None = None) -> Problem:
        """Return a Problem in the file."""
        return Problem(shown(self.path), line, 1, found, expected, hint)
