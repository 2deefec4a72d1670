"""Ingot's own cases: cold, no change, only the app changed, one package added."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from bench.measure import Case, differing_blocks
from bench.subject import Settings
from ingot import paths, process
from ingot.recipe.load import load_recipe
from ingot.store import Image, Store

# Small, and nothing of the web recipe's packages depends on it.
ADDED = "less"
_APP_FILE = "app/static/bench.bin"


class Ingot:
    """An INGOT_HOME with the store's packages, the recipe, and the recipe with a package added."""

    def __init__(self, settings: Settings) -> None:
        self.work = settings.work
        self.recipe = self.work / "recipes" / settings.recipe.name
        self.more = self.work / "recipes" / "more"
        self.environment = {"INGOT_HOME": str(self.work / "home")}
        self.store = Store(self.work / "home" / "store")
        for target in (self.recipe, self.more):
            shutil.copytree(settings.recipe, target)
        (self.recipe / _APP_FILE).write_bytes(os.urandom(4096))
        self.store.packages.mkdir(parents=True)
        for package in (paths.store() / "packages").glob("??/*.deb"):
            target = self.store.packages / package.parent.name / package.name
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(package, target)
        self._before: Path | None = None
        self._kept: set[str] = set()

    def set_up(self) -> None:
        """Lock the recipe with a package added, and bake both once: afterwards the store has all packages."""
        text = (self.more / "recipe.yaml").read_text(encoding="utf-8")
        text = text.replace("name: web", "name: more", 1).replace(
            "packages:\n", f"packages:\n  - {ADDED}\n", 1
        )
        (self.more / "recipe.yaml").write_text(text, encoding="utf-8")
        self._ingot("lock", "more")
        self._ingot("bake", "more")
        self.forget()
        self._ingot("bake", self.recipe.name)
        self._kept = {path.name for path in self.store.layers.iterdir()}

    def cases(self) -> list[Case]:
        """Return the cases in the order in which they have to run."""
        bake = self._command("bake", self.recipe.name)
        more = self._command("bake", "more")
        environment = self.environment
        return [
            Case("Ingot, cold", bake, self.forget, environment),
            Case("Ingot, no change", bake, lambda: None, environment),
            Case("Ingot, only the app changed (4 KiB)", bake, self._change, environment, self._changed),
            Case("Ingot, one package added", more, self._forget_more, environment),
        ]

    def image(self) -> Image:
        """Return the image of the recipe as it is now."""
        return self.store.bake(load_recipe(self.recipe), lambda _: None)

    def forget(self) -> None:
        """Remove all layers and images."""
        for directory in (self.store.layers, self.store.images):
            shutil.rmtree(directory, ignore_errors=True)

    def _forget_more(self) -> None:
        """Remove what baking the recipe with a package added has left."""
        for path in self.store.layers.iterdir():
            if path.is_dir() and path.name not in self._kept:
                shutil.rmtree(path)
        for image in self.store.all_images():
            if image.name == "more":
                shutil.rmtree(image.directory)

    def _change(self) -> None:
        self._before = self.image().disk
        (self.recipe / _APP_FILE).write_bytes(os.urandom(4096))

    def _changed(self) -> int | None:
        return None if self._before is None else differing_blocks(self._before, self.image().disk)

    def _command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "ingot.cli.main", *words, "--recipes", str(self.recipe.parent)]

    def _ingot(self, *words: str) -> None:
        process.run(self._command(*words), env={**os.environ, **self.environment})
