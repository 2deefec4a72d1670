"""Python packages in an image: one that changes, an app that changes above them, and what pip alone takes."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from bench.measure import Case, differing_blocks, interleaved
from bench.subject import ROOT, Report, Settings, Table, median, spread
from ingot import paths, process
from ingot.recipe.load import load_recipe
from ingot.recipe.lock.file import load_packages_lock
from ingot.store import Image, Store

FLASK = ROOT / "examples" / "flask" / "image_recipes" / "flask"
COLD, MOVED, APP = "Ingot, cold", "Ingot, one Python package changed", "Ingot, only the app changed (4 KiB)"
MADE, PIP = "Ingot, the virtual environment alone", "floor: pip, the same wheels into the same environment"
# The changed package: another version of one that gunicorn needs, whichever it is.
BEFORE = "packaging==26.4"
AFTER = "packaging==25.0 --hash=sha256:29572ef2b1f17581046b3a2227d5c611fb25ec70ca1ba8554b24b0e69331a484\n"


class Flask:
    """The example with packages from PyPI, and the same with one of them of another version."""

    def __init__(self, settings: Settings) -> None:
        self.work = settings.work
        self.recipe, self.moved = (self.work / "recipes" / name for name in ("flask", "moved"))
        self.environment = {"INGOT_HOME": str(self.work / "home")}
        self.store = Store(self.work / "home" / "store")
        for target in (self.recipe, self.moved):
            shutil.copytree(FLASK, target)
        self.store.packages.mkdir(parents=True)
        for package in (paths.store() / "packages").glob("??/*"):
            target = self.store.packages / package.parent.name / package.name
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(package, target)
        self._before: Path | None = None
        self._kept: set[str] = set()

    def set_up(self) -> None:
        """Lock the recipe with a package changed, and bake both once: then the store has all files."""
        recipe, requirements = self.moved / "recipe.yaml", self.moved / "requirements.txt"
        recipe.write_text(recipe.read_text().replace("name: flask", "name: moved", 1))
        requirements.write_text(_with_another(requirements.read_text()))
        self._ingot("lock", "moved")
        self._ingot("bake", "moved")
        self.forget()
        self._ingot("bake", "flask")
        self._kept = {path.name for path in self.store.layers.iterdir()}

    def cases(self) -> list[Case]:
        """Return the cases in the order in which they have to run."""
        environment = {**self.environment, "PYTHONPATH": str(ROOT)}
        bake, moved = self._command("bake", "flask"), self._command("bake", "moved")
        made = [sys.executable, "-m", "bench.environment", str(self.recipe), str(self.work / "made")]
        return [
            Case(COLD, bake, self.forget, environment),
            Case(APP, bake, self._change, environment, self._changed),
            Case(MOVED, moved, self._forget_moved, environment),
            Case(MADE, made, lambda: None, environment),
            Case(PIP, ["sh", "-euc", self._pip()], lambda: None, environment),
        ]

    def image(self) -> Image:
        """Return the image of the recipe as it is now."""
        return self.store.bake(load_recipe(self.recipe), lambda _: None)

    def forget(self) -> None:
        """Remove all layers and images."""
        for directory in (self.store.layers, self.store.images):
            shutil.rmtree(directory, ignore_errors=True)

    def _forget_moved(self) -> None:
        """Remove what baking the recipe with a package changed has left."""
        for path in self.store.layers.iterdir():
            if path.is_dir() and path.name not in self._kept:
                shutil.rmtree(path)
        for image in self.store.all_images():
            if image.name == "moved":
                shutil.rmtree(image.directory)

    def _change(self) -> None:
        self._before = self.image().disk
        (self.recipe / "app" / "bench.bin").write_bytes(os.urandom(4096))

    def _changed(self) -> int | None:
        return None if self._before is None else differing_blocks(self._before, self.image().disk)

    def _pip(self) -> str:
        """Return what a person would run on the host: a new environment, and pip from the same wheel."""
        python = load_packages_lock(load_recipe(self.recipe)).python
        assert python is not None
        wheels = self.work / "wheels"
        wheels.mkdir()
        for wheel in (*python.wheels, python.installer):
            shutil.copyfile(
                self.store.packages / wheel.sha256[:2] / wheel.sha256,
                wheels / ("pip.whl" if wheel is python.installer else wheel.file),
            )
        lines = [f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}\n" for wheel in python.wheels]
        (wheels / "requirements.txt").write_text("".join(lines))
        target = self.work / "venv"
        options = (
            "--no-index --no-deps --no-compile --no-cache-dir --require-hashes --only-binary=:all: --quiet"
        )
        pip = f"{target}/bin/python {wheels}/pip.whl/pip --isolated"
        return (
            f"rm -rf {target}; /usr/bin/python3 -m venv --without-pip {target}; "
            f"{pip} install {options} --find-links {wheels} --requirement {wheels}/requirements.txt; "
            f"{pip} check --disable-pip-version-check"
        )

    def _command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "ingot.cli.main", *words, "--recipes", str(self.recipe.parent)]

    def _ingot(self, *words: str) -> None:
        process.run(self._command(*words), env={**os.environ, **self.environment})


def _with_another(requirements: str) -> str:
    """Return the requirements with the changed package in its other version."""
    blocks, skipping = [], False
    for line in requirements.splitlines(keepends=True):
        if line.startswith(BEFORE):
            blocks.append(AFTER)
            skipping = True
        elif skipping and line.startswith(" "):
            continue
        else:
            skipping = False
            blocks.append(line)
    return "".join(blocks)


def run(settings: Settings, report: Report) -> list[Table]:
    """Measure and return one table."""
    flask = Flask(settings)
    report("setting up: both recipes are locked and baked once")
    flask.set_up()
    samples = interleaved(flask.cases(), settings.runs, settings.work, report)
    wall = {name: [sample.wall for sample in found] for name, found in samples.items()}
    cold = median(wall[COLD])
    table = Table("Python packages", ["case", "seconds", "÷ Ingot cold", "changed blocks of 512 KiB"])
    for name, found in samples.items():
        blocks = [float(sample.blocks) for sample in found if sample.blocks is not None]
        table.rows.append(
            [
                name,
                spread(wall[name]),
                f"{median(wall[name]) / cold:.3f}",
                spread(blocks, "{:.0f}") if blocks else "–",
            ]
        )
    ratio = median(wall[MADE]) / median(wall[PIP])
    table.notes = [
        "examples/flask: nine packages from PyPI; the changed one is packaging, 26.4 to 25.0.",
        f"The environment alone takes {ratio:.2f} times what pip takes on the host. The figures are at most "
        "1.5 times, 0.20 of a cold bake for the changed package, 0.03 and 4 blocks for the app.",
    ]
    return [table]
