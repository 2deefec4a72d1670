"""Ingot's own cases: cold, no change, only the app changed, one package added."""

from __future__ import annotations

import os

from bench.measure import Case
from bench.subject import Settings
from bench.subjects.bakery import Bakery

# Small, and nothing of the web recipe's packages depends on it.
ADDED = "less"
_APP_FILE = "app/static/bench.bin"


class Ingot(Bakery):
    """The recipe, and the recipe with a package added."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.work, settings.recipe, "more", _APP_FILE)
        (self.recipe / _APP_FILE).write_bytes(os.urandom(4096))

    def set_up(self) -> None:
        """Lock the recipe with a package added, and bake both once: afterwards the store has all packages."""
        file = self.other / "recipe.yaml"
        text = file.read_text(encoding="utf-8").replace("name: web", "name: more", 1)
        file.write_text(text.replace("packages:\n", f"packages:\n  - {ADDED}\n", 1), encoding="utf-8")
        self.bake_both()

    def cases(self) -> list[Case]:
        """Return the cases in the order in which they have to run."""
        bake, more = self.command("bake", self.recipe.name), self.command("bake", "more")
        environment = self.environment
        return [
            Case("Ingot, cold", bake, self.forget, environment),
            Case("Ingot, no change", bake, lambda: None, environment),
            Case(
                "Ingot, only the app changed (4 KiB)", bake, self.change_app, environment, self.changed_blocks
            ),
            Case("Ingot, one package added", more, self.forget_variant, environment),
        ]
