"""The lower layer as a value: the installed and sealed packages of an image, in a directory of the store."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ingot.bake.disk.index import LayerIndex


@dataclass(frozen=True)
class LowerLayer:
    """A finished lower layer. ``epoch``: the time of all its files, Unix seconds.

    :mod:`ingot.bake.layers.lower` finds and makes them.
    """

    directory: Path
    epoch: int

    @cached_property
    def index(self) -> LayerIndex:
        """What is in the tree."""
        return LayerIndex.load(self.directory / "index", self.root, self.epoch)

    @property
    def root(self) -> Path:
        """The tree."""
        return self.directory / "root"

    @property
    def tools(self) -> Path:
        """The tree of the packages that only the bake uses."""
        return self.directory / "tools"

    @property
    def disks(self) -> Path:
        """Where disks with this layer alone are kept (:mod:`ingot.bake.layers.lower_disk`)."""
        return self.directory / "disks"
