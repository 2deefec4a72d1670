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
from ingot.forge.git import Repository
from ingot.paths import ENVIRONMENTS
from ingot.plan.images import ImagePlan, Images, unused
from ingot.plan.infrastructure.assembly import Stack, read_assembly
from ingot.plan.infrastructure.cdk import AT_ONCE, Cache, Cdk
from ingot.plan.infrastructure.fold import images as images_of
from ingot.plan.infrastructure.stacks import StackPlan, compare_stacks
from ingot.plan.recipes import RecipeChange, RecipeTree, compare_recipes, lend_ignored, read_tree
from ingot.plan.result import Plan, dangers_of, verdict_of
from ingot.plan.rollout import GroupSize, rollouts
from ingot.progress import Progress
from ingot.recipe.syntax.document import read_document

Part = TypeVar("Part", RecipeChange, ImagePlan, StackPlan)
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
            lend_ignored(self.repository, self.recipes, before, notes.append)
            trees = {name: self._trees(before, name, notes) for name in self.environments}
            work = Path(cleanup.enter_context(TemporaryDirectory(prefix="ingot-plan-")))
            tree = None if self.deployed else self.repository.tree(base.commit)
            threads = cleanup.enter_context(ThreadPoolExecutor(AT_ONCE))
            syntheses = _Syntheses(self, threads, before, tree, work, notes)
            # The syntheses take the longest; the images are baked meanwhile.
            pending = {name: syntheses.start(name) for name in self.environments}
            recipes = [change for name in self.environments for change in compare_recipes(*trees[name], name)]
            images = [
                self._image(change, trees[change.environment], notes) for change in recipes if change.after
            ]
            after: dict[str | None, Mapping[str, Stack]] = {}
            stacks: list[StackPlan] = []
            for name in self.environments:
                pending[name][0].result()
                after[name] = read_assembly(syntheses.assembly(name)).stacks
                stacks += syntheses.compare(pending[name][1], after[name], name)
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


@dataclass(frozen=True)
class _Syntheses:
    """The stacks of both revisions, one environment after the other, synthesized below ``work``.

    ``before``: the checkout of the base revision, whose digest in git is ``tree``; None: it is not needed.
    """

    planner: Planner
    threads: ThreadPoolExecutor
    before: Path
    tree: str | None
    work: Path
    notes: list[str]

    def start(self, environment: str | None) -> tuple[Future[None], Future[Path | None]]:
        """Start both syntheses of one environment: the working tree's, and the base revision's."""
        planner = self.planner
        planner.progress(f"synthesizing the stacks{'' if environment is None else f' of {environment}'}")
        context = self._context(planner.context, environment)
        return (
            self.threads.submit(
                planner.cdk.synthesize, planner.repository.project, self.assembly(environment), context
            ),
            self.threads.submit(self._base_assembly, environment),
        )

    def assembly(self, environment: str | None) -> Path:
        """Return where the working tree's assembly is."""
        return self.work / f"cdk.out-{environment or ''}"

    def _base_assembly(self, environment: str | None) -> Path | None:
        """Return the base revision's assembly; None when it has no CDK app, or is not needed.

        A base that refuses the given context, as one does that has not the recipe which that names, is taken
        as it is without it.
        """
        is_in_base = environment is None or environment in environments(self.before)
        if self.tree is None or not is_in_base or not (self.before / "cdk.json").is_file():
            return None
        planner = self.planner
        try:
            context = self._context(planner.context, environment)
            return planner.cache.synthesized(planner.cdk, self.before, self.tree, context)
        except InputError as error:
            if not planner.context:
                raise
            context = self._context((), environment)
            found = planner.cache.synthesized(planner.cdk, self.before, self.tree, context)
            said = str(error).splitlines()[0]
            self.notes.append(
                f"the base revision is taken without --context {' '.join(planner.context)}, "
                f"which it refuses: {said}"
            )
            return found

    @staticmethod
    def _context(given: Sequence[str], environment: str | None) -> list[str]:
        return [*given, *([] if environment is None else [f"env={environment}"])]

    def compare(
        self, pending: Future[Path | None], after: Mapping[str, Stack], environment: str | None
    ) -> list[StackPlan]:
        """Compare the stacks ``after`` with the base revision's, awaited here, or with the deployed."""
        if self.planner.deployed is not None:
            before = self.planner.deployed(after)
        else:
            try:
                base = pending.result()
            except IngotError as error:
                kind = (
                    "is refused by its own app" if isinstance(error, InputError) else "cannot be synthesized"
                )
                self.notes.append(
                    f"the base revision {kind}, so the stacks cannot be compared with it "
                    f"(--deployed compares with what is deployed): {error}"
                )
                return []
            if base is None:
                what = "CDK app (no cdk.json)" if environment is None else f"environment {environment}"
                self.notes.append(
                    f"the base revision has no {what}: every stack{' of it' if environment else ''} is new"
                )
            before = {} if base is None else dict(read_assembly(base).stacks)
        self.planner.progress("comparing the stacks")
        return compare_stacks(self.planner.cdk, before, after, self.assembly(environment), environment)


def environments(project: Path) -> list[str]:
    """Return the names in environments.yaml of a tree; the app itself checks that file."""
    path = project / ENVIRONMENTS
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
