"""Power-on to the first HTTP 200 in QEMU: Ingot's image beside mkosi's of the same packages, in turn."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from pathlib import Path

from bench import tools
from bench.ingot_cases import Ingot
from bench.peer_cases import Mkosi, repository
from bench.subject import Report, Settings, Table, median, spread
from ingot.localcloud.machines.alone import booted_alone
from ingot.localcloud.machines.qemu import require_tools
from ingot.recipe.load import load_recipe
from ingot.recipe.lockfile import load_packages_lock

LIMIT = 600.0  # seconds; a machine that has not answered then does not
_POLL = 0.1
# The machine is on loopback: a proxy that the environment names has no way to it.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def run(settings: Settings, report: Report) -> list[Table]:
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
        disks["mkosi, same packages"] = mkosi.image
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
