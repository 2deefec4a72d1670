"""A recipe and a variant of it, baked in an INGOT_HOME of their own: for every subject that bakes."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from bench.measure import differing_blocks
from ingot import paths, process
from ingot.recipe.load import load_recipe
from ingot.store import Image, Store


class Bakery:
    """``source`` copied to ``recipe`` under its own name and to ``other`` as ``variant``, and a store with
    the files of this machine's.

    ``app_file``: below the recipe, the file whose change is one of the app alone.
    """

    def __init__(self, work: Path, source: Path, variant: str, app_file: str) -> None:
        self.work, self.variant = work, variant
        self.recipe, self.other = (work / "recipes" / name for name in (source.name, variant))
        self.environment = {"INGOT_HOME": str(work / "home")}
        self.store = Store(work / "home" / "store")
        for target in (self.recipe, self.other):
            shutil.copytree(source, target)
        self.store.packages.mkdir(parents=True)
        for package in (paths.store() / "packages").glob("??/*"):
            target = self.store.packages / package.parent.name / package.name
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(package, target)
        self._app_file = self.recipe / app_file
        self._before: Path | None = None
        self._kept: set[str] = set()

    def bake_both(self) -> None:
        """Lock the variant and bake both once: afterwards the store has all files."""
        self.ingot("lock", self.variant)
        self.ingot("bake", self.variant)
        self.forget()
        self.ingot("bake", self.recipe.name)
        self._kept = {path.name for path in self.store.layers.iterdir()}

    def image(self) -> Image:
        """Return the image of the recipe as it is now."""
        return self.store.bake(load_recipe(self.recipe), lambda _: None)

    def forget(self) -> None:
        """Remove all layers and images."""
        for directory in (self.store.layers, self.store.images):
            shutil.rmtree(directory, ignore_errors=True)

    def forget_variant(self) -> None:
        """Remove what baking the variant has left."""
        for path in self.store.layers.iterdir():
            if path.is_dir() and path.name not in self._kept:
                shutil.rmtree(path)
        for image in self.store.all_images():
            if image.name == self.variant:
                shutil.rmtree(image.directory)

    def change_app(self) -> None:
        """Change 4 KiB of the app."""
        self._before = self.image().disk
        self._app_file.write_bytes(os.urandom(4096))

    def changed_blocks(self) -> int | None:
        """Return how many blocks of the disk the last change of the app has changed."""
        return None if self._before is None else differing_blocks(self._before, self.image().disk)

    def command(self, *words: str) -> list[str]:
        """Return the command that runs `ingot` on the recipes."""
        return [sys.executable, "-m", "ingot.cli.main", *words, "--recipes", str(self.recipe.parent)]

    def ingot(self, *words: str) -> None:
        """Run `ingot` on the recipes. Raises CommandError."""
        process.run(self.command(*words), env={**os.environ, **self.environment})
