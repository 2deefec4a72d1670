"""Python packages in an image: one that changes, an app that changes above them, and what pip alone takes."""

from __future__ import annotations

import shutil
import sys

from bench.measure import Case, interleaved
from bench.subject import ROOT, Settings, Table, median, spread
from bench.subjects.bakery import Bakery
from ingot.progress import Progress
from ingot.recipe.load import load_recipe
from ingot.recipe.lock.file import load_packages_lock

FLASK = ROOT / "examples" / "flask" / "image_recipes" / "flask"
COLD, MOVED, APP = "Ingot, cold", "Ingot, one Python package changed", "Ingot, only the app changed (4 KiB)"
MADE, PIP = "Ingot, the virtual environment alone", "floor: pip, the same wheels into the same environment"
# The changed package: another version of one that gunicorn needs, whichever it is.
BEFORE = "packaging==26.4"
AFTER = "packaging==25.0 --hash=sha256:29572ef2b1f17581046b3a2227d5c611fb25ec70ca1ba8554b24b0e69331a484\n"


class Flask(Bakery):
    """The example with packages from PyPI, and the same with one of them of another version."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.work, FLASK, "moved", "app/bench.bin")

    def set_up(self) -> None:
        """Lock the recipe with a package changed, and bake both once: then the store has all files."""
        recipe, requirements = self.other / "recipe.yaml", self.other / "requirements.txt"
        recipe.write_text(recipe.read_text().replace("name: flask", "name: moved", 1))
        requirements.write_text(_with_another(requirements.read_text()))
        self.bake_both()

    def cases(self) -> list[Case]:
        """Return the cases in the order in which they have to run."""
        environment = {**self.environment, "PYTHONPATH": str(ROOT)}
        bake, moved = self.command("bake", "flask"), self.command("bake", "moved")
        fresh = [sys.executable, "-m", "bench.environment", str(self.recipe), str(self.work / "made")]
        return [
            Case(COLD, bake, self.forget, environment),
            Case(APP, bake, self.change_app, environment, self.changed_blocks),
            Case(MOVED, moved, self.forget_variant, environment),
            Case(MADE, fresh, lambda: self._remove("made"), environment),
            Case(PIP, ["sh", "-euc", self._pip()], lambda: self._remove("venv"), environment),
        ]

    def _remove(self, name: str) -> None:
        """Remove what the run before made, which takes longer than making it where disks are busy."""
        shutil.rmtree(self.work / name, ignore_errors=True)

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
            f"/usr/bin/python3 -m venv --without-pip {target}; "
            f"{pip} install {options} --find-links {wheels} --requirement {wheels}/requirements.txt; "
            f"{pip} check --disable-pip-version-check"
        )


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


def run(settings: Settings, report: Progress) -> list[Table]:
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
        "examples/flask: twelve packages from PyPI; the changed one is packaging, 26.4 to 25.0.",
        f"The environment alone takes {ratio:.2f} times what pip takes on the host. The figures are at most "
        "1.5 times, 0.20 of a cold bake for the changed package, 0.03 and 4 blocks for the app.",
    ]
    return [table]
