"""Finding and making lower layers: the locked packages, installed and sealed, under the
digest of what they are made of.

A layer is a directory ``layers/<digest>`` with ``root`` (the tree), ``tools`` (packages of the role "tool",
only extracted), ``index`` (what is in the tree, with digests) and ``disks`` (the disks with this layer alone
that upper layers are put on). It is made aside and renamed, so every layer that exists is whole. It may stand
on another layer with fewer packages (:mod:`ingot.bake.layers.foundation`), of which it is independent once it
is made: their trees share files.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Callable, List, Mapping, Sequence

from ingot.bake.layers.additions import Addition, addition_digest, kinds_of
from ingot.bake.layers.keys import ENGINE, code_digest, key_of
from ingot.bake.layers.layer import LowerLayer
from ingot.bake.packages.cache import DOWNLOADS, PACKAGES, check_downloads, check_packages
from ingot.files import making
from ingot.locks import obtain
from ingot.progress import Progress
from ingot.spec import AnswerSpec, BakeSpec

if TYPE_CHECKING:
    from ingot.bake.packages.ahead import Ahead
    from ingot.bake.packages.deb import Control

# What of the engine decides what a lower layer holds.
MAKERS = (
    "engine.py",
    "job.py",
    "worker.py",
    "runtime",
    "packages",
    "dependencies",
    "layers",
    "tree",
    "image",
    "disk/index.py",
)
# What they read packages and specs by.
FOUNDATIONS = ("deb822.py", "spec.py")


def layer_digest(spec: BakeSpec) -> str:
    """Return the digest of all that makes a spec's lower layer: packages, what is
    dropped, locale, time, the engine's code.
    """
    inputs = {
        "packages": sorted((p.name, p.role, p.sha256) for p in spec.packages),
        "drop": spec.drop._asdict(),
        "locale": spec.locale,
        "epoch": spec.epoch,
        "architecture": spec.architecture,
        "system": sorted(spec.system),
        "debconf": answers(spec),
        "engine": _engine_digest(),
        "machine": spec.machine,
    }
    return key_of(inputs)


def stage_layer_digest(stage: BakeSpec) -> str:
    """Return the digest of the layer in which a stage has done its work."""
    inputs = {"stage": stage.recipe_digest, "engine": _engine_digest()}
    return key_of(inputs)


def layer_digests(spec: BakeSpec) -> List[str]:
    """Return the digests of the layers of a spec that stand on each other, the uppermost first.

    The last one is that of the packages.
    """
    kinds = kinds_of(spec)
    return [_digest_with(spec, kinds[:number]) for number in range(len(kinds), -1, -1)]


def _digest_with(spec: BakeSpec, kinds: Sequence[str]) -> str:
    """Return the digest of the layer of :meth:`LayerStore._with`."""
    digest = layer_digest(spec)
    for kind in kinds:
        digest = addition_digest(digest, spec, kind)
    return digest


def answers(spec: BakeSpec) -> List[AnswerSpec]:
    """Return the answers to questions of the packages that are in the layer."""
    installed = {package.name for package in spec.packages if package.role == "install"}
    return [answer for answer in spec.debconf if answer.package in installed]


def _engine_digest() -> str:
    files = [file for name in MAKERS for file in (ENGINE / name, *(ENGINE / name).rglob("*"))]
    files += [ENGINE.parent / name for name in FOUNDATIONS]
    return code_digest(file for file in files if file.is_file() and file.suffix != ".pyc")


class LayerStore:
    """The directory ``layers`` that keeps lower layers, and ``packages``, of which they are made.

    ``fetch`` downloads what is needed: ``packages``, or other ``downloads``.
    """

    def __init__(
        self, layers: Path, packages: Path, progress: Progress, fetch: Callable[[str], None]
    ) -> None:
        self.layers = layers
        self.packages = packages
        self.progress = progress
        self.fetch = fetch

    def lower_layer(self, spec: BakeSpec, use: ExitStack) -> LowerLayer:
        """Return the lower layer of ``spec``, made if it is not kept yet; it stays until ``use`` ends.

        Raises BakeError.
        """
        return self._with(spec, kinds_of(spec), use)

    def stage_layer(
        self, stage: BakeSpec, work: Callable[[LowerLayer, Path], None], use: ExitStack
    ) -> LowerLayer:
        """Return the layer of ``stage`` likewise: ``work`` makes it, on the layer of all that the stage has
        of packages and additions, in a directory.
        """

        def make(directory: Path) -> None:
            with ExitStack() as below_use:
                work(self.lower_layer(stage, below_use), directory)

        return self._obtain(stage_layer_digest(stage), stage.epoch, make, use)

    def _with(self, spec: BakeSpec, kinds: Sequence[str], use: ExitStack) -> LowerLayer:
        """Return the layer of the packages of ``spec`` with additions of ``kinds``, the lowest first."""
        if not kinds:
            return self._packages_layer(spec, use)

        def make(directory: Path) -> None:
            with ExitStack() as below_use:
                below = self._with(spec, kinds[:-1], below_use)
                self.fetch(DOWNLOADS)
                check_downloads(spec, self.packages, self.progress)
                Addition(spec, kinds[-1], below, self.packages, directory, self.progress).run()

        return self._obtain(_digest_with(spec, kinds), spec.epoch, make, use)

    def _packages_layer(self, spec: BakeSpec, use: ExitStack) -> LowerLayer:

        def make(directory: Path) -> None:
            # It takes more modules than all the rest of a bake, and most bakes find their layer.
            from ingot.bake.layers.install import read_controls
            from ingot.bake.packages.ahead import Ahead

            self.fetch(PACKAGES)
            check_packages(spec.packages, self.packages, self.progress)
            with Ahead(self.layers) as ahead:
                self._make(spec, read_controls(spec, self.packages), directory, ahead)

        return self._obtain(layer_digest(spec), spec.epoch, make, use)

    def _obtain(self, digest: str, epoch: int, make: Callable[[Path], None], use: ExitStack) -> LowerLayer:
        directory = self.layers / digest

        def make_aside() -> None:
            with making(directory) as unfinished:
                make(unfinished)

        def waiting() -> None:
            self.progress("waiting: another bake makes the same layer")

        obtain(directory, make_aside, use=use, waiting=waiting)
        return LowerLayer(directory, epoch)

    def _make(
        self, spec: BakeSpec, controls: Mapping[str, "Control"], directory: Path, ahead: "Ahead"
    ) -> None:
        """Make a layer, after the one that it stands on: the same layers in the same
        order, whatever is kept already.
        """
        from ingot.bake.layers.foundation import foundation
        from ingot.bake.layers.install import Installation, packages_to_install

        fewer = foundation(spec.packages, spec.system, controls)
        present = {package.name for package in fewer or ()}
        ahead.expect(p for p in packages_to_install(spec, self.packages) if p.name not in present)
        with ExitStack() as use:
            below = None
            if fewer is not None:
                lower = replace(spec, packages=tuple(fewer))
                below = self._obtain(
                    layer_digest(lower),
                    spec.epoch,
                    lambda aside: self._make(lower, controls, aside, ahead),
                    use,
                )
            Installation(spec, below, controls, self.packages, directory, self.progress, ahead).run()
