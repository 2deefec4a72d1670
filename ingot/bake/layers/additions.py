"""What stands on the packages and beneath what a recipe's author changes daily.

It is a layer of its own for each kind of thing that the lock pins beside packages. Such a layer is found,
locked, collected and packed as those of packages are, so that an app that changes above it finds it as it is.
Its digest is that of the layer below and of what it adds.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Tuple

from ingot.bake.layers.keys import key_of
from ingot.bake.layers.layer import LowerLayer
from ingot.progress import Progress
from ingot.spec import BakeSpec, plain


def _artifacts(spec: BakeSpec) -> List[Dict[str, Any]]:
    """Return what of the artifacts makes their layer; where they come from does not."""
    users = {user.name: user.uid for user in spec.users}
    groups = {group.name: group.gid for group in spec.groups}
    return [
        {**plain(artifact), "url": None, "uid": users.get(artifact.owner), "gid": groups.get(artifact.group)}
        for artifact in spec.artifacts
        if artifact.target is not None
    ]


def _put_artifacts(root: Path, spec: BakeSpec, packages: Path) -> None:
    from ingot.bake.dependencies.artifacts import put_artifacts  # most bakes find their layer

    put_artifacts(root, spec, packages)


def _install_python(root: Path, spec: BakeSpec, packages: Path) -> None:
    from ingot.bake.dependencies.python import install_python

    install_python(root, spec, packages)


def _install_node(root: Path, spec: BakeSpec, packages: Path) -> None:
    from ingot.bake.dependencies.node import install_node

    install_node(root, spec, packages)


class _AdditionKind(NamedTuple):
    """``inputs``: what of a spec makes the layer; ``said`` is said meanwhile.

    ``make`` puts it into a root, from the directory of the files that the lock names.
    """

    inputs: Callable[[BakeSpec], Any]
    make: Callable[[Path, BakeSpec, Path], None]
    said: str


# In the order in which they stand on each other: what changes more often is higher.
KINDS: Mapping[str, _AdditionKind] = {
    "artifacts": _AdditionKind(_artifacts, _put_artifacts, "putting the artifacts into the image"),
    "python": _AdditionKind(
        lambda spec: plain(spec.python), _install_python, "installing the Python packages"
    ),
    "node": _AdditionKind(lambda spec: plain(spec.node), _install_node, "installing the npm packages"),
}


def kinds_of(spec: BakeSpec) -> Tuple[str, ...]:
    """Return the kinds of additions that ``spec`` has, the lowest first."""
    return tuple(name for name, kind in KINDS.items() if kind.inputs(spec))


def addition_digest(below: str, spec: BakeSpec, kind: str) -> str:
    """Return the digest of the layer that adds ``kind`` to the layer with the digest ``below``."""
    inputs = {"below": below, "kind": kind, "adds": KINDS[kind].inputs(spec)}
    return key_of(inputs)


def put_additions(root: Path, spec: BakeSpec, packages: Path, progress: Progress) -> None:
    """Put all additions into a root that has no layers: that of a base AMI. Raises BakeError."""
    for name in kinds_of(spec):
        progress(KINDS[name].said)
        KINDS[name].make(root, spec, packages)


@dataclass(frozen=True)
class Addition:
    """The making of the layer that adds ``kind`` to ``below``, in ``directory``.

    ``packages`` is the directory of the files that the lock names.
    """

    spec: BakeSpec
    kind: str
    below: LowerLayer
    packages: Path
    directory: Path
    progress: Progress

    def run(self) -> None:
        """Make tree, tools and index. Raises BakeError."""
        from ingot.bake.image.seal import seal
        from ingot.bake.layers.trees import GrownTree, link_tree, record_tree

        kind = KINDS[self.kind]
        self.directory.mkdir(parents=True)
        link_tree(self.below.tools, self.directory / "tools")
        self.progress(kind.said)
        with closing(GrownTree(self.directory, self.below, packages=False)) as tree:
            tree.mount()
            kind.make(tree.root, self.spec, self.packages)
            seal(tree.root, epoch=self.spec.epoch)
            record_tree(tree, self.directory, self.spec.epoch)
