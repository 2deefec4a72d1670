"""Power-on to the first HTTP 200 in QEMU: Ingot's image beside mkosi's of the same packages, in turn."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from pathlib import Path

from bench import tools
from bench.subject import Settings, Table, median, spread
from bench.subjects.ingot import Ingot
from bench.subjects.peers import Mkosi, can_boot, repository
from ingot import process
from ingot.bake.disk import gpt
from ingot.blocks import BLOCK_SIZE as BLOCK
from ingot.machines.alone import booted_alone
from ingot.machines.qemu import require_tools
from ingot.progress import Progress
from ingot.recipe.load import load_recipe
from ingot.recipe.lock.file import load_packages_lock

LIMIT = 600.0  # seconds; a machine that has not answered then does not
_POLL = 0.1
# The machine is on loopback: a proxy that the environment names has no way to it.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def run(settings: Settings, report: Progress) -> list[Table]:
    """Measure and return one table."""
    require_tools()
    ingot = Ingot(settings)
    report("setting up: the image is baked")
    disks: dict[str, Path] = {"Ingot": ingot.image().disk}
    notes = [
        "The disks are booted as they are, by the same virtual machine: 2 processors, 1 GiB, UEFI, NVMe."
    ]
    if settings.peers:
        tools.install_peers()
        lock = load_packages_lock(load_recipe(ingot.recipe))
        installed = repository(lock, ingot.store.packages, settings.work / "repository")
        mkosi = Mkosi(
            settings.work / "mkosi", lock, [package.name for package in installed], ingot.recipe / "app"
        )
        report("setting up: mkosi builds its image")
        mkosi.build()
        disks["mkosi, same packages"] = _bootable(
            mkosi.image, ingot.image().disk, settings.work / "mkosi.raw", notes
        )
    seconds: dict[str, list[float]] = {name: [] for name in disks}
    for number in range(settings.runs):
        for name, disk in disks.items():
            seconds[name].append(_boot(disk, settings.work / "machines"))
            report(f"{number + 1} of {settings.runs}: {name}: {seconds[name][-1]:.1f} s")
    table = Table("Boot: power-on to the first HTTP 200", ["image", "seconds", "÷ Ingot"], notes=notes)
    own = median(seconds["Ingot"])
    table.rows += [
        [name, spread(found, "{:.1f}"), f"{median(found) / own:.2f}"] for name, found in seconds.items()
    ]
    return [table]


def _bootable(image: Path, own: Path, target: Path, notes: list[str]) -> Path:
    """Return a disk with mkosi's root that boots: mkosi's own where it could make one
    bootable, else with our boot partition before it.
    """
    if can_boot():
        return image
    notes.append(
        "This machine's kernel has no vfat, without which mkosi makes no boot partition: its root is booted"
        " by the kernel and the initrd of Ingot's boot partition. With its own, larger initrd it would not be"
        " faster."
    )
    process.run(["cp", "--sparse=always", own, target])
    (source_root,) = _roots(image)
    (target_root,) = _roots(target)
    if source_root.size > target_root.size:
        raise ValueError(f"mkosi's root of {source_root.size} bytes does not fit {target_root.size}")
    with image.open("rb") as source, target.open("r+b") as disk:
        source.seek(source_root.start)
        disk.seek(target_root.start)
        for _ in range(0, source_root.size, BLOCK):
            disk.write(source.read(BLOCK))
    return target


def _roots(disk: Path) -> list[gpt.Partition]:
    with disk.open("rb") as file:
        return [part for part in gpt.read_table(file.read(17 * 1024)) if part.type in gpt.ROOT_TYPES.values()]


def _boot(disk: Path, directory: Path) -> float:
    """Return the seconds until the machine answers. Raises TimeoutError with the end of its console."""
    start = time.monotonic()
    with booted_alone(disk, directory) as machine:
        url = f"http://127.0.0.1:{machine.forward(80)}/"
        while time.monotonic() - start < LIMIT:
            if machine.wait(_POLL):
                break
            if _answers(url):
                return time.monotonic() - start
        end = machine.console()[0].decode(errors="replace")[-2000:]
    raise TimeoutError(f"no HTTP 200 from {disk.name}; its console ended:\n{end}")


def _answers(url: str) -> bool:
    try:
        with _DIRECT.open(url, timeout=5) as answer:
            return int(answer.status) == 200
    except (OSError, urllib.error.URLError):
        return False
