"""Which package a recipe names: ``nginx``, one version ``nginx=1.22.1-9``, or that of a suite
``nginx/bookworm-backports``, as apt-get(8) has it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator

from ingot.recipe.schema.values import NAME_OF_PACKAGE, VERSION_OF_PACKAGE, Text
from ingot.recipe.syntax.explain import wrong

# The suites that a recipe chooses from by name; apt takes nothing from them of its own accord.
CHOSEN = "{}-backports"
# Beside main, and on Ubuntu universe, which are always there.
COMPONENTS = {"debian": ("contrib", "non-free", "non-free-firmware"), "ubuntu": ("multiverse", "restricted")}
ALWAYS = {"debian": ("main",), "ubuntu": ("main", "universe")}
_FOREIGN = re.compile(rf"({NAME_OF_PACKAGE}):[a-z0-9-]+")


def _of_one_architecture(value: object) -> object:
    if isinstance(value, str) and (match := _FOREIGN.fullmatch(value)):
        hint = f"an image has packages of one architecture: write {match[1]}"
        raise wrong(f"{value!r}, a package for another architecture", "the name of a package", hint)
    return value


PackageText = Annotated[
    str,
    Text(
        rf"{NAME_OF_PACKAGE}(={VERSION_OF_PACKAGE}|/[a-z][a-z0-9-]*)?",
        "the name of a package, alone or with =VERSION or /SUITE",
        "apache2",
    ),
    BeforeValidator(_of_one_architecture),
]


@dataclass(frozen=True)
class PackageChoice:
    """A package that a recipe names: its newest version, one version, or that of a suite."""

    name: str
    version: str | None = None
    suite: str | None = None

    @staticmethod
    def of(text: str) -> PackageChoice:
        """Read an entry of ``packages``."""
        name, sign, which = re.fullmatch(r"([^=/]+)([=/]?)(.*)", text).groups()  # type: ignore[union-attr]
        return PackageChoice(name, which if sign == "=" else None, which if sign == "/" else None)

    @property
    def is_chosen(self) -> bool:
        """Whether it is another one than apt would take."""
        return self.version is not None or self.suite is not None

    def takes(self, version: str, suite: str) -> bool:
        """Say whether a package of this version and suite is what was chosen."""
        return self.version in (None, version) and self.suite in (None, suite)


def names_of(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of packages of a recipe, without versions and suites."""
    return tuple(PackageChoice.of(text).name for text in texts)
