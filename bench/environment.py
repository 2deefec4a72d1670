"""``python -m bench.environment RECIPE WORK``: make a recipe's virtual environment, and no more.

What a bake does for the layer of Python packages, without the layer's index and without a disk. The store has
to have the layer of the distribution's packages.
"""

from __future__ import annotations

import shutil
import sys
from contextlib import closing
from pathlib import Path

from ingot.bake.dependencies.python import install_python
from ingot.bake.layers.layer import LowerLayer
from ingot.bake.layers.lower import layer_digest
from ingot.bake.layers.trees import GrownTree
from ingot.recipe.compile import compile_spec
from ingot.recipe.load import load_recipe
from ingot.store import Store


def main(recipe: Path, work: Path) -> None:
    """Make it in ``work``, from the store of INGOT_HOME."""
    spec, store = compile_spec(load_recipe(recipe)), Store()
    below = LowerLayer(store.layers / layer_digest(spec), spec.epoch)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    with closing(GrownTree(work, below, packages=False)) as tree:
        tree.mount()
        install_python(tree.root, spec, store.packages)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
