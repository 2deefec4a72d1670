"""Stages: roots in which something is built that the image takes.

A stage is a layer: its packages, artifacts and dependencies as those of an image, and on top of them its
files and what its steps made. Its digest is that of all it is made of, so recipes with the same stage share
it. Nothing of it is in an image but the files that are taken, each as a file of the recipe: their owners are
the recipe's to say, their modes 0644 or 0755.
"""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, Sequence, Tuple

from ingot.bake.image.files import place_files
from ingot.bake.image.seal import seal
from ingot.bake.layers.layer import LowerLayer
from ingot.bake.layers.lower import LayerStore
from ingot.bake.layers.trees import GrownTree, record_tree
from ingot.bake.layers.upper import run_step, short
from ingot.bake.runtime.chroot import Chroot, in_root
from ingot.errors import BakeError
from ingot.progress import Progress
from ingot.spec import BakeSpec, FileSpec

# How many names a message lists of a directory.
MOST_NAMES = 10


class Stages:
    """The stages of a bake; each is made when something is taken from it, and stays until ``use`` ends.

    ``layers`` keeps the layers of the image, and theirs; ``sources`` is the recipe's directory. ``fetch``
    downloads what of a stage is needed: its packages, or its other downloads.
    """

    def __init__(
        self,
        stages: Sequence[BakeSpec],
        layers: LayerStore,
        sources: Path,
        fetch: Callable[[str, Optional[str]], None],
        use: ExitStack,
    ) -> None:
        self._specs = {stage.name: stage for stage in stages}
        self._layers, self._sources, self._fetch, self._use = layers, sources, fetch, use
        self._roots: Dict[str, Path] = {}

    def files(self, files: Sequence[FileSpec]) -> Tuple[FileSpec, ...]:
        """Return ``files`` with those that are taken from stages as files, directories and links.

        Raises BakeError for what a stage has not made, StepError for a step that fails.
        """
        return tuple(one for file in files for one in (self._taken(file) if file.stage else (file,)))

    def _taken(self, file: FileSpec) -> Iterator[FileSpec]:
        """Yield what a name of the image comes to. Links on the way to it are followed in the stage alone."""
        name, path = file.stage or "", file.path or ""
        root = self._root(name)
        place = in_root(root, path, follow=True)
        if not os.path.lexists(place):
            raise BakeError(f"{file.place}: the stage {name} has no {path}", hint=_beside(root, path))
        if file.mode is not None and place.is_dir():
            raise BakeError(f"{file.place}: mode for {path}, a directory of the stage {name}")
        if file.xattrs and not place.is_file():
            raise BakeError(f"{file.place}: attributes for {path}, which is not a file of the stage {name}")
        yield from _tree(place, file)

    def _root(self, name: str) -> Path:
        if name not in self._roots:
            spec = self._specs[name]

            def say(text: str) -> None:
                self._layers.progress(f"stage {name}: {text}")

            layers = LayerStore(
                self._layers.layers, self._layers.packages, say, lambda what: self._fetch(what, name)
            )
            layer = layers.stage_layer(spec, partial(self._build, spec, say), self._use)
            self._roots[name] = layer.root
        return self._roots[name]

    def _build(self, spec: BakeSpec, say: Progress, below: LowerLayer, directory: Path) -> None:
        """Make the layer of a stage in ``directory``. Raises BakeError."""
        files = self.files(spec.files)
        directory.mkdir(parents=True)
        (directory / "tools").mkdir()
        with closing(GrownTree(directory, below, packages=False)) as tree:
            tree.mount()
            place_files(tree.root, files, self._sources)
            chroot = Chroot(tree.root, epoch=spec.epoch)
            chroot.mount()
            try:
                for number, step in enumerate(spec.steps, 1):
                    say(f"step {number} of {len(spec.steps)}: {short(step.run)}")
                    run_step(chroot, step)
            finally:
                chroot.unmount()
            seal(tree.root, epoch=spec.epoch, declared=[file.target for file in files])
            record_tree(tree, directory, spec.epoch)


def _tree(place: Path, file: FileSpec) -> Iterator[FileSpec]:
    """Yield ``place``, which is ``file.target`` in the image, and all below it. Links stay links."""
    one = file._replace(stage=None, path=None)
    status = place.lstat()
    if stat.S_ISLNK(status.st_mode):
        # The link as it stands.
        yield one._replace(kind="symlink", mode="0777", link=os.readlink(place))  # noqa: PTH115
    elif stat.S_ISDIR(status.st_mode):
        yield one._replace(kind="directory", mode="0755")
        for name in sorted(os.listdir(place)):  # noqa: PTH208 - names alone
            yield from _tree(place / name, file._replace(target=f"{file.target}/{name}"))
    elif stat.S_ISREG(status.st_mode):
        # As with the recipe's own files, the owner's executable bit counts.
        default = "0755" if status.st_mode & stat.S_IXUSR else "0644"
        yield one._replace(kind="file", mode=file.mode or default, source=str(place))
    else:
        raise BakeError(
            f"{file.place}: {file.target} is neither file, directory nor link in the stage {file.stage}"
        )


def _beside(root: Path, path: str) -> str:
    """Return what is where ``path`` should be."""
    if os.path.lexists(in_root(root, path)):
        return f"{path} is a link that leads to nothing in the stage"
    above, place = path, root
    while above != "/":
        above = above.rpartition("/")[0] or "/"
        place = in_root(root, above, follow=True)
        if place.is_dir():
            break
    names: List[str] = sorted(os.listdir(place))  # noqa: PTH208 - names alone
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"{above} has {', '.join(names[:MOST_NAMES])}{more}" if names else f"{above} is empty"
