"""The lower layer: the locked packages, installed and sealed. It is found by the digest of what it is made of.

A layer is a directory ``layers/<digest>`` with ``root`` (the tree), ``tools`` (packages of the role "tool", extracted only),
``index`` (what is in the tree, with digests) and ``disks`` (the disks with this layer alone that upper layers are put on). It is made aside and renamed, so one that is there is whole.
It may stand on another layer with fewer packages (:mod:`ingot.bake.layers.foundation`), of which it is independent once it is made: their trees share files.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Mapping

from ingot.bake.tree.index import Index
from ingot.locks import obtain
from ingot.progress import Progress

if TYPE_CHECKING:
    from ingot.bake.packages.deb import Control

# The packages of the engine whose code decides what a lower layer holds.
MAKERS = ("runtime", "packages", "layers", "tree", "image")


@dataclass(frozen=True)
class Base:
    """A lower layer that is there: its directory; ``epoch``: the time of all its files, Unix seconds."""

    directory: Path
    epoch: int

    @cached_property
    def index(self) -> Index:
        """What is in the tree."""
        return Index.load(self.directory / "index", self.root, self.epoch)

    @property
    def root(self) -> Path:
        """The tree."""
        return self.directory / "root"

    @property
    def tools(self) -> Path:
        """The tree of the packages that the bake itself uses."""
        return self.directory / "tools"

    @property
    def disks(self) -> Path:
        """Where disks with this layer alone are kept (:mod:`ingot.bake.layers.lower_disk`)."""
        return self.directory / "disks"


def base_digest(plan: Mapping[str, Any]) -> str:
    """Return the digest of all that makes a plan's lower layer: packages, what is dropped, the locale, the time, the engine's own code."""
    packages = sorted((p["name"], p["role"], p["sha256"]) for p in plan["packages"])
    inputs = {
        "packages": packages,
        "drop": plan["drop"],
        "locale": plan.get("locale"),
        "epoch": plan["epoch"],
        "architecture": plan["architecture"],
        "system": sorted(plan.get("system", ())),
        "engine": _engine_digest(),
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def _engine_digest() -> str:
    engine = Path(__file__).parent.parent
    digest = hashlib.sha256()
    files = [file for name in MAKERS for file in (engine / name).rglob("*")]
    for file in sorted(files):
        if file.is_file() and file.suffix != ".pyc":
            digest.update(
                str(file.relative_to(engine)).encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest()
            )
    return digest.hexdigest()


def base_layer(
    plan: Mapping[str, Any],
    packages: Path,
    layers: Path,
    progress: Progress,
    use: ExitStack,
    fetch: Callable[[], None] = lambda: None,
) -> Base:
    """Return the lower layer of ``plan``, made from ``packages`` if ``layers`` does not hold it; it stays until ``use`` ends.

    ``fetch`` brings the packages when they are needed. Raises BakeError.
    """

    def make(layer: Path) -> None:
        # It takes more modules than all the rest of a bake: they are for layers that are made.
        from ingot.bake.layers.install import read_controls
        from ingot.bake.packages.cache import check_packages

        fetch()
        check_packages(plan["packages"], packages, progress)
        _make(plan, read_controls(plan, packages), packages, layer, progress)

    return _obtain(plan, layers, make, progress, use)


def _obtain(
    plan: Mapping[str, Any], layers: Path, make: Callable[[Path], None], progress: Progress, use: ExitStack
) -> Base:
    layer = layers / base_digest(plan)

    def make_aside() -> None:
        unfinished = layer.with_name(f"{layer.name}.tmp")
        if unfinished.exists():  # of a bake that was killed: the lock is ours now
            shutil.rmtree(unfinished)
        try:
            make(unfinished)
            unfinished.rename(layer)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    obtain(layer, make_aside, use=use, waiting=lambda: progress("waiting: another bake makes the same layer"))
    return Base(layer, int(plan["epoch"]))


def _make(
    plan: Mapping[str, Any],
    controls: Mapping[str, "Control"],
    packages: Path,
    layer: Path,
    progress: Progress,
) -> None:
    """Make a layer, after the one that it stands on: the same ones in the same order, whatever is there already."""
    from ingot.bake.layers.foundation import foundation
    from ingot.bake.layers.install import install

    fewer = foundation(plan["packages"], plan.get("system", ()), controls)
    with ExitStack() as use:
        below = None
        if fewer is not None:
            lower = {**plan, "packages": fewer}
            below = _obtain(
                lower,
                layer.parent,
                lambda place: _make(lower, controls, packages, place, progress),
                progress,
                use,
            )
        install(plan, below, controls, packages, layer, progress)
