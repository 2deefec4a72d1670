"""What a merge would do to recipes, images, stacks and running clones.

They are compared with a base revision, or with what is deployed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from ingot.errors import IngotError, InputError
from ingot.forge.git import BaseRevision, Repository
from ingot.plan.images import ImagePlan, Images, unused
from ingot.plan.infrastructure.assembly import Stack, read_assembly
from ingot.plan.infrastructure.cdk import AT_ONCE, Cache, Cdk
from ingot.plan.infrastructure.fold import images as images_of
from ingot.plan.infrastructure.stacks import StackPlan, compare_stacks
from ingot.plan.recipes import RecipeChange, RecipeTree, compare_recipes, read_tree
from ingot.plan.result import Plan, dangers_of, verdict_of
from ingot.plan.rollout import GroupSize, rollouts
from ingot.progress import Progress
from ingot.recipe.syntax.document import read_document

Part = TypeVar("Part", RecipeChange, ImagePlan, StackPlan)
ENVIRONMENTS_FILE = "environments.yaml"
# The stacks that are deployed, of those that the app has.
Deployed = Callable[[Mapping[str, Stack]], dict[str, Stack]]


@dataclass(frozen=True)
class Planner:
    """Makes plans of one project.

    ``deployed``: compare stacks with those that are deployed, not with the base revision's.
    """

    repository: Repository
    recipes: Path
    environments: Sequence[str | None]
    context: Sequence[str]
    cdk: Cdk
    cache: Cache
    images: Images
    progress: Progress
    deployed: Deployed | None = None
    group_size: GroupSize = lambda _stack, _group: None

    def plan(self, base_revision: str | None) -> Plan:
        """Return the plan of the working tree.

        Raises InputError for a base that is none, and for all that is wrong with the tree.
        """
        base = self.repository.base(base_revision)
        dirty = self.repository.dirty()
        notes: list[str] = []
        with ExitStack() as cleanup:
            before = cleanup.enter_context(self.repository.checked_out(base.commit, notes.append))
            trees = {name: self._trees(before, name, notes) for name in self.environments}
            work = Path(cleanup.enter_context(TemporaryDirectory(prefix="ingot-plan-")))
            threads = cleanup.enter_context(ThreadPoolExecutor(AT_ONCE))
            # The syntheses take the longest; the images are baked meanwhile.
            pending = {
                name: self._synthesis(threads, before, base, work, name, notes) for name in self.environments
            }
            recipes = [change for name in self.environments for change in compare_recipes(*trees[name], name)]
            images = [
                self._image(change, trees[change.environment], notes) for change in recipes if change.after
            ]
            after: dict[str | None, Mapping[str, Stack]] = {}
            stacks: list[StackPlan] = []
            for name in self.environments:
                pending[name][0].result()
                after[name] = read_assembly(self._assembly(work, name)).stacks
                stacks += self._stacks(pending[name][1], after[name], work, name, notes)
            used = {name: images_of([s.template for s in found.values()]) for name, found in after.items()}
            images = [image if image.after in used[image.environment] else unused(image) for image in images]
        stacks = _once(stacks)
        images = _once(images)
        recipes = _once(recipes)
        dangerous = dangers_of(images, stacks)
        return Plan(
            verdict=verdict_of(dangerous, recipes, stacks, notes),
            dangerous=dangerous,
            base=base,
            head=self.repository.commit("HEAD"),
            dirty=tuple(dirty),
            deployed=self.deployed is not None,
            notes=tuple(dict.fromkeys(notes)),
            recipes=tuple(recipes),
            images=tuple(images),
            stacks=tuple(stacks),
            rollouts=tuple(rollout for stack in stacks for rollout in rollouts(stack, self.group_size)),
        )

    def _trees(
        self, before: Path, environment: str | None, notes: list[str]
    ) -> tuple[RecipeTree, RecipeTree]:
        self.progress("reading the recipes of both revisions")
        after = read_tree(self.repository.project, self.recipes, environment, tolerant=False)
        old = read_tree(before, self.recipes, environment, tolerant=True)
        for name, known in after.elsewhere.items():
            where = "no environment" if environment is None else f"the environment {environment}"
            notes.append(f"the recipe {name} cannot be read in {where}, only in: {', '.join(known)}")
        if not (before / self.recipes).is_dir():
            notes.append(f"the base revision has no {self.recipes}: every recipe is new")
        return old, after

    def _image(
        self, change: RecipeChange, trees: tuple[RecipeTree, RecipeTree], notes: list[str]
    ) -> ImagePlan:
        before, after = ({name: found.recipe for name, found in tree.recipes.items()} for tree in trees)
        return self.images.plan(change, (before, after), notes.append)

    def _synthesis(
        self,
        threads: ThreadPoolExecutor,
        before: Path,
        base: BaseRevision,
        work: Path,
        environment: str | None,
        notes: list[str],
    ) -> tuple[Future[None], Future[Path | None]]:
        """Start both syntheses of one environment."""
        self.progress(f"synthesizing the stacks{'' if environment is None else f' of {environment}'}")
        project = self.repository.project
        context = self._context(self.context, environment)
        after = threads.submit(self.cdk.synthesize, project, self._assembly(work, environment), context)
        tree = None if self.deployed else self.repository.tree(base.commit)
        is_in_base = environment is None or environment in environments(before)
        return after, threads.submit(
            self._base_assembly, before, tree if is_in_base else None, environment, notes
        )

    def _base_assembly(
        self, before: Path, tree: str | None, environment: str | None, notes: list[str]
    ) -> Path | None:
        """Return the base revision's assembly; None when it has no CDK app, or is not needed.

        A base that refuses the given context, as one does that has not the recipe which that names, is taken
        as it is without it.
        """
        if tree is None or not (before / "cdk.json").is_file():
            return None
        try:
            return self.cache.synthesized(self.cdk, before, tree, self._context(self.context, environment))
        except InputError as error:
            if not self.context:
                raise
            found = self.cache.synthesized(self.cdk, before, tree, self._context((), environment))
            said = str(error).splitlines()[0]
            notes.append(
                f"the base revision is taken without --context {' '.join(self.context)}, "
                f"which it refuses: {said}"
            )
            return found

    @staticmethod
    def _context(given: Sequence[str], environment: str | None) -> list[str]:
        return [*given, *([] if environment is None else [f"env={environment}"])]

    @staticmethod
    def _assembly(work: Path, environment: str | None) -> Path:
        return work / f"cdk.out-{environment or ''}"

    def _stacks(
        self,
        pending: Future[Path | None],
        after: Mapping[str, Stack],
        work: Path,
        environment: str | None,
        notes: list[str],
    ) -> list[StackPlan]:
        if self.deployed is not None:
            before = self.deployed(after)
        else:
            try:
                base = pending.result()
            except IngotError as error:
                kind = (
                    "is refused by its own app" if isinstance(error, InputError) else "cannot be synthesized"
                )
                notes.append(
                    f"the base revision {kind}, so the stacks cannot be compared with it "
                    f"(--deployed compares with what is deployed): {error}"
                )
                return []
            if base is None:
                what = "CDK app (no cdk.json)" if environment is None else f"environment {environment}"
                notes.append(
                    f"the base revision has no {what}: every stack{' of it' if environment else ''} is new"
                )
            before = {} if base is None else dict(read_assembly(base).stacks)
        self.progress("comparing the stacks")
        return compare_stacks(self.cdk, before, after, self._assembly(work, environment), environment)


def environments(project: Path) -> list[str]:
    """Return the names in environments.yaml of a tree; the app itself checks that file."""
    path = project / ENVIRONMENTS_FILE
    data = read_document(path).data if path.is_file() else None
    named = data.get("environments") if isinstance(data, dict) else None
    return list(named) if isinstance(named, dict) else []


def _once(parts: Sequence[Part]) -> list[Part]:
    """Leave out recipes and stacks to which the same happens in an environment before."""
    found: dict[str, Part] = {}
    for part in parts:
        key = json.dumps({**part.to_json(), "environment": None}, sort_keys=True)
        found.setdefault(key, part)
    return list(found.values())
