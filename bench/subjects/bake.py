"""Baking a disk image: Ingot beside mmdebstrap (which makes a tar alone), mkosi, and what
no tool can do without.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench import tools
from bench.measure import Case, Sample, interleaved
from bench.subject import Settings, Table, median, spread
from bench.subjects.ingot import Ingot
from bench.subjects.peers import Mkosi, can_boot, floors, mmdebstrap, repository
from ingot import process
from ingot.progress import Progress
from ingot.recipe.load import load_recipe
from ingot.recipe.lock.file import load_packages_lock

COLD = "Ingot, cold"
TAR = "mmdebstrap, tar only, tmpfs"


def run(settings: Settings, report: Progress) -> list[Table]:
    """Measure and return one table."""
    with ExitStack() as stack:
        ingot = Ingot(settings)
        report("setting up: both recipes are baked once")
        ingot.set_up()
        lock = load_packages_lock(load_recipe(ingot.recipe))
        repo = settings.work / "repository"
        installed = repository(lock, ingot.store.packages, repo)
        names = [package.name for package in installed]
        reference = settings.work / "reference.raw"
        process.run(["cp", "--sparse=always", ingot.image().disk, reference])
        cases: list[Case] = [*ingot.cases(), *floors(repo, reference, settings.work / "floors")]
        notes = [f"Packages: {len(installed)}, all of them on the machine before each run."]
        if settings.peers:
            tools.install_peers()
            memory = stack.enter_context(_memory())
            cases += mmdebstrap(lock, repo, names, {"tmpfs": memory, "disk": settings.work / "mmdebstrap"})
            mkosi = Mkosi(settings.work / "mkosi", lock, names, ingot.recipe / "app")
            report("setting up: mkosi fills its caches")
            mkosi.set_up()
            cases += mkosi.cases()
            if not can_boot():
                notes.append(
                    "mkosi's disks have no boot partition here: this machine's kernel has no vfat, which"
                    " mkosi mounts."
                )
            notes.append(f"Peers: {tools.version('mmdebstrap')}, {tools.version('mkosi')}.")
        samples = interleaved(cases, settings.runs, settings.work, report)
    return [_table(samples, notes)]


@contextmanager
def _memory() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="ingot-bench-", dir="/dev/shm"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _table(samples: dict[str, list[Sample]], notes: list[str]) -> Table:
    head = [
        "case",
        "seconds",
        "÷ Ingot cold",
        "CPU seconds",
        "peak of one process, MiB",
        "written, MiB",
        "changed blocks of 512 KiB",
    ]
    table = Table("Bake", head, notes=notes)
    cold = median([sample.wall for sample in samples[COLD]])
    for name, found in samples.items():
        wall = [sample.wall for sample in found]
        blocks = [float(sample.blocks) for sample in found if sample.blocks is not None]
        table.rows.append(
            [
                name,
                spread(wall),
                f"{median(wall) / cold:.3f}",
                f"{median([sample.cpu for sample in found]):.2f}",
                f"{median([sample.memory for sample in found]) / (1 << 20):.0f}",
                f"{median([sample.written for sample in found]) / (1 << 20):.0f}",
                spread(blocks, "{:.0f}") if blocks else "–",
            ]
        )
    if TAR in samples:
        ratio = cold / median([sample.wall for sample in samples[TAR]])
        table.notes.append(
            f"Ingot's cold bake to a bootable disk takes {ratio:.2f} times what mmdebstrap takes for the tar"
            " on tmpfs."
        )
    table.notes.append(
        "Peak: the largest single process of the run. Written: to file systems on disks, not to memory."
    )
    return table
