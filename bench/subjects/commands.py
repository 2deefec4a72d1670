"""Commands that people wait for: a lock with known indexes, the list of a store with many images."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.measure import Case, interleaved
from bench.subject import Settings, Table, spread
from bench.subjects.image_diff import keep_image
from ingot.progress import Progress
from ingot.store import Store

# As many files as give a manifest of 2 MB, that of image_recipes/web.
IMAGES, FILES = 500, 5_000
# Seconds and MiB: what the two commands may take.
LOCK_GOAL, LIST_GOAL = 2, 100
_MIB = 1 << 20


def run(settings: Settings, report: Progress) -> list[Table]:
    """Return how long a lock takes, and what listing a store takes."""
    home, recipes = settings.work / "home", settings.work / "recipes"
    shutil.copytree(settings.recipe, recipes / settings.recipe.name)
    report(f"writing {IMAGES} images of {FILES:,} files")
    _fill(Store(home / "store"))
    cases = list(_cases(settings.recipe.name, recipes, home))
    samples = interleaved(cases, settings.runs, settings.work, report)
    table = Table("Commands", ("case", "seconds", "CPU seconds", "peak of one process, MiB"))
    for name, found in samples.items():
        memory = spread([sample.memory / _MIB for sample in found], "{:.0f}")
        times = ([sample.wall for sample in found], [sample.cpu for sample in found])
        table.rows.append((name, *map(spread, times), memory))
    table.notes += [
        f"The goal of a lock with known indexes is {LOCK_GOAL} s. The mirror is asked for each signed file.",
        f"The goal of the list is {LIST_GOAL} MiB.",
    ]
    return [table]


def _cases(name: str, recipes: Path, home: Path) -> Iterator[Case]:
    environment = {"INGOT_HOME": str(home)}
    ingot = (sys.executable, "-m", "ingot.cli.main")
    lock = (*ingot, "lock", name, "--recipes", str(recipes))

    def forget() -> None:
        shutil.rmtree(home / "indexes", ignore_errors=True)

    yield Case("ingot lock, new indexes", lock, forget, environment)
    yield Case("ingot lock, known indexes", lock, lambda: None, environment)
    yield Case(f"ingot store ls, {IMAGES} images", (*ingot, "store", "ls"), lambda: None, environment)


def _fill(store: Store) -> None:
    """Put an image into the store, and give it many digests."""
    first = store.images / keep_image(store, 1, FILES)
    for number in range(1, IMAGES):
        copy = store.images / hashlib.sha256(b"image %d" % number).hexdigest()
        copy.mkdir()
        for file in first.iterdir():
            (copy / file.name).hardlink_to(file)
