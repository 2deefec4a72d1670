"""Chooses the files of the wheel `ingot-machines`: this package, and the foundations in the one above it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class MachinesHook(BuildHookInterface[Any]):
    """Adds the package and what pyproject.toml names as `foundations` to the wheel.

    Hatch's own `force-include` would do, but it also copies the files into the site-packages of an editable
    install, where the copies would hide the sources.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the files; an editable wheel has none."""
        if version != "standard":
            return
        package = Path(self.root)
        modules = [path for path in sorted(package.rglob("*.py")) if path != Path(__file__)]
        foundations = [package.parent / name for name in self.config["foundations"]]
        for path in (*foundations, *modules):
            build_data["force_include"][str(path)] = f"ingot/{path.relative_to(package.parent)}"
