"""Locking recipes: packages from their distribution's index, a base AMI from AWS; and what a newer lock would
move.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ingot.errors import IngotError, InputError
from ingot.forge.git import Repository
from ingot.forge.github import GitHub
from ingot.forge.upgrade import LockUpgrade, TakenOver, propose, push
from ingot.pipeline.bake import open_store
from ingot.progress import Progress
from ingot.recipe.load import environments, find_recipe, find_recipes, load_recipe
from ingot.recipe.lock import ami as ami_lock
from ingot.recipe.lock.ami import AmiLock, LockedAmi, source_of
from ingot.recipe.lock.artifacts import MAX_ARTIFACT, FetchedArtifact, LockedArtifact
from ingot.recipe.lock.file import lock_text, read_ami_lock, read_lock, write_lock
from ingot.recipe.lock.index_cache import IndexCache
from ingot.recipe.lock.resolve import Upgrade, moved, resolve_lock
from ingot.recipe.syntax.document import shown

if TYPE_CHECKING:
    from ingot.recipe.lock.file import Lock, LockedStage
    from ingot.recipe.schema.model import Recipe


@dataclass(frozen=True)
class Locking:
    """The old lock of a recipe, the new one, and a line for each package or AMI that moves from one to the
    other.
    """

    recipe: Recipe
    old: Lock | AmiLock | None
    new: Lock | AmiLock
    moved: Sequence[str]

    @property
    def changes(self) -> bool:
        """Whether there is something to write."""
        return self.new != self.old or not self.recipe.own_lock_path.is_file()

    @property
    def text(self) -> str:
        """What the new lock file holds."""
        return self.new.text() if isinstance(self.new, AmiLock) else lock_text(self.new)

    @property
    def packages(self) -> int | None:
        """How many packages the new lock installs; None when it is of a base AMI."""
        if isinstance(self.new, AmiLock):
            return None
        return sum(1 for package in self.new.packages if package.role == "install")

    def write(self) -> None:
        """Write the new lock."""
        write_lock(self.recipe, self.new)


def lock(
    recipe: Recipe,
    progress: Progress,
    *,
    upgrade: bool = False,
    packages: Sequence[str] = (),
    indexes: IndexCache | None = None,
) -> Locking:
    """Resolve the lock of a recipe; nothing is written.

    What is locked stays, unless ``upgrade``: then everything may move, or only ``packages``. ``indexes``: one
    object for all recipes of a command asks for each index once. Raises InputError.
    """
    if recipe.base.ami is not None:
        if packages:
            raise InputError(f"{recipe.name} is on a base AMI, which is locked as a whole: name no packages")
        return _lock_ami(recipe, progress, upgrade=upgrade)
    moves = Upgrade(everything=upgrade and not packages, packages=frozenset(packages))
    indexes = indexes or IndexCache()
    old = read_lock(recipe)
    new = _lock_packages(recipe, moves, indexes, progress)
    stages: dict[str, LockedStage] = {}
    for name in recipe.stages:
        progress(f"the stage {name}:")
        stages[name] = _lock_packages(recipe.stage(name), moves, indexes, progress).as_stage()
    new = new.model_copy(update={"stages": stages})
    return Locking(recipe, old, new, moved(old, new))


def update_lock(
    recipe: Recipe, progress: Progress, *, upgrade: bool = False, packages: Sequence[str] = ()
) -> Locking:
    """Resolve the lock of a recipe likewise, and write it if something changes."""
    locking = lock(recipe, progress, upgrade=upgrade, packages=packages)
    if locking.changes:
        locking.write()
    return locking


def _lock_packages(recipe: Recipe, moves: Upgrade, indexes: IndexCache, progress: Progress) -> Lock:
    """Return the new lock of a recipe without its stages, or of a stage."""
    old = read_lock(recipe)
    artifacts = _artifacts(recipe, () if old is None else old.artifacts, moves, progress)
    new = resolve_lock(recipe, upgrade=moves, artifacts=artifacts, indexes=indexes, progress=progress)
    later: dict[str, object] = {"python": None, "node": None, "stages": {}}
    new = new.model_copy(update=later)
    if recipe.python is not None:
        from ingot.store.downloads.python import lock_python

        known = None if old is None or moves.everything else old.python
        python = lock_python(recipe, new.versions(), known, open_store().packages, progress)
        new = new.model_copy(update={"python": python})
    if recipe.node is not None:
        from ingot.store.downloads.node import lock_node

        known_node = None if old is None or moves.everything else old.node
        node = lock_node(recipe, new.versions(), known_node, open_store().packages, progress)
        new = new.model_copy(update={"node": node})
    return new


def _artifacts(
    recipe: Recipe, old: Sequence[LockedArtifact], upgrade: Upgrade, progress: Progress
) -> list[FetchedArtifact]:
    """Return the recipe's artifacts as they are to be locked.

    One that is locked stays, unless all may move; one with a digest in the recipe is what that says. Raises
    IngotError, with the artifact's place, for one that cannot be fetched.
    """
    if not recipe.artifacts:
        return []
    from ingot.store.downloads.web import Wanted

    store, known = open_store(), {artifact.url: artifact for artifact in old}
    artifacts = []
    for number, artifact in enumerate(recipe.artifacts):
        locked = known.get(artifact.url)
        is_package = artifact.install is not None
        if locked is not None and (upgrade.everything or artifact.sha256 not in (None, locked.sha256)):
            locked = locked if artifact.sha256 == locked.sha256 else None
        if locked is not None and not is_package:
            artifacts.append(FetchedArtifact(locked))
            continue
        digest = artifact.sha256 if locked is None else locked.sha256
        progress(f"fetching {artifact.url}")
        wanted = Wanted("the artifact", artifact.url, MAX_ARTIFACT, digest, is_package)
        try:
            fetched = store.obtain(wanted, progress)
        except IngotError as error:
            place = recipe.document.place(("artifacts", number, "url"))
            where = f"{shown(place.file)}:{place.line}:{place.column}"
            raise error.with_message(f"{where}: {error.message}") from error
        pinned = LockedArtifact(url=artifact.url, sha256=fetched.sha256, size=fetched.size)
        artifacts.append(FetchedArtifact(pinned, fetched.file if is_package else None))
    return artifacts


def newest(name: str, path: Path, progress: Progress, indexes: IndexCache | None = None) -> LockUpgrade:
    """Return what moves in the newest locks of a recipe: its own, and those of its environments that have
    one.

    Nothing is written; ``indexes`` as in :func:`lock`. A base AMI stays where there are no AWS credentials.
    """
    from ingot.aws.session.clients import has_credentials

    indexes = indexes or IndexCache()
    locks: dict[Path, str] = {}
    lines: list[str] = []
    seen = set()
    for environment in environments(path):
        recipe = load_recipe(path, environment)
        if recipe.lock_path in seen:
            continue
        seen.add(recipe.lock_path)
        if recipe.base.ami is not None and not has_credentials():
            progress(
                f"{recipe.name}: its base AMI is looked up in AWS, and there are no credentials: it stays"
            )
            continue
        locking = lock(recipe, progress, upgrade=True, indexes=indexes)
        if locking.new != locking.old:
            locks[recipe.lock_path] = locking.text
            lines += [line for line in locking.moved if line not in lines]
    return LockUpgrade(name, locks, tuple(lines))


@dataclass(frozen=True)
class Upgraded:
    """What moves in a recipe's locks, and the URL of its pull request, unless none was to be opened."""

    name: str
    moved: Sequence[str]
    url: str | None


def upgrade_all(
    recipes: Path, names: Sequence[str], target: GitHub | None, base: str, progress: Progress
) -> Iterator[Upgraded]:
    """Resolve the newest packages of the recipes that are named, all without names, and propose what moves.

    Each proposal is a branch on top of HEAD and a pull request to the branch ``base`` of ``target``; without
    ``target`` nothing is pushed or opened.
    """
    commit = Repository.around(Path.cwd()).commit("HEAD")
    paths = {name: find_recipe(recipes, name) for name in names} if names else find_recipes(recipes)
    indexes = IndexCache()
    for name, path in paths.items():
        proposal = newest(name, path, progress, indexes)
        if not proposal.moved:
            progress(f"{name}: nothing moved")
            continue
        if target is None:
            yield Upgraded(name, proposal.moved, None)
            continue
        try:
            if not push(proposal, commit):
                progress(f"{name}: {proposal.branch} is up to date")
        except TakenOver as error:
            # Its pull request says what the branch holds, which is not what moves now.
            progress(f"{name}: {error}")
        else:
            yield Upgraded(name, proposal.moved, propose(proposal, target, base))


def _lock_ami(recipe: Recipe, progress: Progress, *, upgrade: bool) -> Locking:
    """Look up the AMI of the current region, if the lock lacks it, or with ``upgrade``.

    AMIs of other regions stay, unless the recipe asks for another one.
    """
    from ingot.aws.builder.base_ami import look_up
    from ingot.aws.session.clients import connect
    from ingot.aws.session.failures import translated

    old = read_ami_lock(recipe)
    same = old is not None and old.source == source_of(recipe) and old.architecture == recipe.architecture
    kept = dict(old.ami) if same and old is not None else {}
    with translated():
        clients = connect()
        if upgrade or clients.region not in kept:
            ami = look_up(clients, json.loads(source_of(recipe)), recipe.architecture)
            kept[clients.region] = LockedAmi.model_validate(ami)
    epoch = max(_seconds(ami.created) for ami in kept.values())
    moves = Upgrade(everything=upgrade)
    artifacts = _artifacts(recipe, () if old is None else old.artifacts, moves, progress)
    new = AmiLock(
        format=1,
        architecture=recipe.architecture,
        source=source_of(recipe),
        epoch=epoch,
        ami=kept,
        artifacts=tuple(artifact.locked for artifact in artifacts),
    )
    return Locking(recipe, old, new, ami_lock.moved(old, new))


def _seconds(created: str) -> int:
    return int(dt.datetime.fromisoformat(created.replace("Z", "+00:00")).timestamp())
