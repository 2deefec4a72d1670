"""``ingot lock``: resolves the whole package set of a recipe from the distribution's signed index."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ingot.errors import IngotError, InputError, MissingToolError, Problem
from ingot.process import CommandError
from ingot.progress import Progress, silent
from ingot.recipe.lock.apt import AptRoot, read_fields
from ingot.recipe.lock.archives import Archive, archives_of, fingerprints
from ingot.recipe.lock.artifacts import ARTIFACT, FetchedArtifact, moved_artifacts
from ingot.recipe.lock.distribution import (
    DPKG_ARCHITECTURE,
    REPLACEABLE,
    Distribution,
    Suite,
    distribution_of,
)
from ingot.recipe.lock.file import (
    Lock,
    LockedDistribution,
    LockedPackage,
    Requested,
    locked_archive,
    read_lock,
)
from ingot.recipe.lock.index import Index, IndexedPackage, PackageList
from ingot.recipe.lock.index_cache import IndexCache
from ingot.recipe.lock.mirrors import discover, own_archives
from ingot.recipe.lock.node import moved_npm
from ingot.recipe.lock.python import moved_wheels
from ingot.recipe.schema.model import Recipe
from ingot.recipe.schema.packages import COMPONENTS, PackageChoice, names_of
from ingot.recipe.syntax.explain import close_to_package


@dataclass(frozen=True)
class Upgrade:
    """What may move: nothing, the packages named, or (``everything``) all."""

    everything: bool = False
    packages: frozenset[str] = frozenset()

    def moves(self, name: str) -> bool:
        """Say whether this package may take a new version."""
        return self.everything or name in self.packages


@dataclass(frozen=True)
class Selection:
    """What to install beside the packages that are named: package files; and the versions to keep."""

    files: tuple[str, ...]
    pins: Mapping[str, str]


def resolve_lock(
    recipe: Recipe,
    *,
    upgrade: Upgrade = Upgrade(),
    artifacts: Sequence[FetchedArtifact] = (),
    indexes: IndexCache | None = None,
    progress: Progress = silent,
) -> Lock:
    """Return a new lock for a recipe; nothing is written.

    Versions of the lock that exists are kept where the index still has them and ``upgrade`` does not release
    them. ``artifacts``: those of the recipe, in its order. The mirrors are the machine's (see mirrors.py),
    the keyring is the distribution's, or the one that ``INGOT_KEYRING`` names for a mirror that signs by
    itself.
    ``indexes``: those that this machine has; one object for several recipes asks for each index once. Raises
    InputError for packages that do not exist, with their places, and IngotError when the index cannot be
    fetched or the packages conflict.
    """
    distribution = distribution_of(recipe)
    old = read_lock(recipe)
    archives = archives_of(recipe)
    keyed = tuple(locked_archive(archive, fingerprints(recipe, archive)) for archive in archives)
    keyring = _keyring(distribution)
    mirrors = {**own_archives({a.name: a.uri for a in archives}), **discover(distribution.plain())}
    _check_archives(recipe, distribution, archives, mirrors)
    with tempfile.TemporaryDirectory(prefix="ingot-lock-") as work:
        apt = AptRoot(
            Path(work), distribution, DPKG_ARCHITECTURE[recipe.architecture], indexes or IndexCache()
        )
        apt.update(mirrors, keyring, archives, progress)
        own = [package for artifact in artifacts if (package := _own_package(recipe, artifact))]
        index = Index([*own, *apt.packages()], distribution.archives)
        _check_names(recipe, distribution, index, upgrade)
        count = len(recipe.packages)
        progress(f"resolving {count} package{'' if count == 1 else 's'} and the base")
        files = [str(artifact.package) for artifact in artifacts if artifact.package is not None]
        pins = _kept(old, distribution, index, upgrade)
        chosen = [c.name for c in map(PackageChoice.of, recipe.packages) if c.is_chosen]
        for name in (*Index(own, ()).places, *chosen):
            pins.pop(name, None)  # its file, or the recipe, says which version it is
        lock = _resolve(recipe, distribution, apt, index, Selection(tuple(files), pins))
        locked = tuple(artifact.locked for artifact in artifacts)
        lock = lock.model_copy(update={"archives": keyed, "artifacts": locked})
    return _dated(lock, old, upgrade)


def _dated(lock: Lock, old: Lock | None, upgrade: Upgrade) -> Lock:
    """Return a new lock with the dates that it is to bear.

    Every file of an image bears the epoch. It moves only when everything may move: otherwise adding a package
    would change each layer and each inode.
    """
    if old is None or old.distribution != lock.distribution:
        return lock
    # What is locked after the packages is not here yet.
    later: dict[str, object] = {"python": None, "node": None, "stages": {}}
    if lock == old.model_copy(update={"epoch": lock.epoch, "indexed": None, **later}):
        return old  # nothing moved: the same lock, so the same digest, though the index is newer
    if upgrade.everything:
        return lock
    return lock.model_copy(update={"epoch": old.epoch, "indexed": lock.epoch})


def moved(old: Lock | None, new: Lock) -> list[str]:
    """Return one line for each package that the new lock adds, removes or moves to another version."""
    before, after = ({} if old is None else old.versions()), new.versions()
    lines = []
    for name in sorted(before.keys() | after.keys()):
        if name not in before:
            lines.append(f"+ {name} {after[name]}")
        elif name not in after:
            lines.append(f"- {name} {before[name]}")
        elif before[name] != after[name]:
            lines.append(f"  {name} {before[name]} -> {after[name]}")
    lines += moved_artifacts(() if old is None else old.artifacts, new.artifacts)
    wheels = [() if lock is None or lock.python is None else lock.python.wheels for lock in (old, new)]
    lines += moved_wheels(wheels[0], wheels[1])
    lines += moved_npm(None if old is None else old.node, new.node)
    names = new.stages.keys() | (set() if old is None else old.stages.keys())
    for name in sorted(names):
        stages = [None if lock is None else lock.stage(name) for lock in (old, new)]
        lines += [f"{line[:2]}{name}: {line[2:]}" for line in _moved_in_stage(stages[0], stages[1])]
    return lines


def _moved_in_stage(old: Lock | None, new: Lock | None) -> list[str]:
    if new is not None:
        return moved(old, new)
    return [] if old is None else [f"- the stage with {len(old.packages)} packages"]


def _own_package(recipe: Recipe, artifact: FetchedArtifact) -> PackageList | None:
    """Return an artifact that is a package as a list with it alone; None for another artifact.

    Raises InputError for a file that is no package, or one for another architecture.
    """
    if artifact.package is None:
        return None
    number = next(n for n, one in enumerate(recipe.artifacts) if one.url == artifact.locked.url)
    at = ("artifacts", number, "url")
    try:
        fields = read_fields(artifact.package)
        architecture = fields["architecture"]
    except (CommandError, KeyError) as error:
        problem = recipe.problem(at, "a file that is no Debian package", "a .deb")
        raise InputError(problem.found, problems=[problem]) from error
    wanted = DPKG_ARCHITECTURE[recipe.architecture]
    if architecture not in ("all", wanted):
        problem = recipe.problem(at, f"a package for {architecture}", f"one for {wanted} or all")
        raise InputError(problem.found, problems=[problem])
    locked = artifact.locked
    name = unquote(urlsplit(locked.url).path).rpartition("/")[2]
    text = "".join(f"{key}: {fields[key.lower()]}\n" for key in ("Package", "Version", "Architecture"))
    text += f"SHA256: {locked.sha256}\nSize: {locked.size}\nFilename: {name}\n"
    return PackageList(Suite(ARTIFACT, ARTIFACT), text.encode())


def _keyring(distribution: Distribution) -> Path:
    path = Path(os.environ.get("INGOT_KEYRING") or distribution.keyring)
    if not path.is_file():
        error = MissingToolError(
            f"the keyring {path}",
            package=distribution.keyring_package,
            needed_for=f"verify the signatures of {distribution.id}",
        )
        if distribution.id == "ubuntu":
            raise error.with_more_hint(
                f"Debian 12 does not have that package: copy {path.name} from an Ubuntu machine, "
                "and name the copy in INGOT_KEYRING"
            )
        raise error
    return path.absolute()


def _check_names(recipe: Recipe, distribution: Distribution, index: Index, upgrade: Upgrade) -> None:
    """Raise InputError for every name that the distribution does not have."""
    problems: list[Problem] = []
    for number, text in enumerate(recipe.packages):
        choice = PackageChoice.of(text)
        name = choice.name
        if name in index:
            if not any(choice.takes(*offer) for offer in index.offers(name)):
                problems.append(_not_offered(recipe, number, choice, index))
            continue
        providers = index.providers(name)
        if providers:
            found, hint = (
                f"{name!r} is a virtual package",
                f"name one that provides it: {', '.join(providers[:5])}",
            )
        else:
            found, hint = (
                f"unknown package {name!r}",
                close_to_package(name, index.places) or _of_another_component(recipe, distribution),
            )
        own = f" or of {', '.join(a.name for a in archives)}" if (archives := archives_of(recipe)) else ""
        expected = f"a package of {distribution.id} {distribution.suite} ({distribution.component}){own}"
        problems.append(recipe.problem(("packages", number), found, expected, hint or None))
    if problems:
        raise InputError(f"packages of {recipe.name} do not exist", problems=problems)
    unknown = sorted(name for name in upgrade.packages if name not in index)
    if unknown:
        raise InputError(
            f"no package {', '.join(unknown)} in {distribution.id} {distribution.suite}",
            hint=close_to_package(unknown[0], index.places),
        )


def _not_offered(recipe: Recipe, number: int, choice: PackageChoice, index: Index) -> Problem:
    """Return the problem of a version, or of a suite's package, that no index has."""
    offers = index.offers(choice.name)
    if choice.version is not None:
        what = f"{choice.name!r} has no version {choice.version}"
        versions = list(dict.fromkeys(version for version, _ in offers))
        hint = f"there are {' and '.join(versions)}" if len(versions) > 1 else f"there is {versions[0]}"
        return recipe.problem(("packages", number), what, hint=hint)
    what = f"{choice.suite} has no package {choice.name!r}"
    hint = "; ".join(f"{suite} has {version}" for version, suite in offers)
    return recipe.problem(("packages", number), what, hint=hint)


def _of_another_component(recipe: Recipe, distribution: Distribution) -> str:
    """Return the hint that a package may be of a component that the recipe lacks; "" when it has all."""
    others = [name for name in COMPONENTS[distribution.id] if name not in recipe.base.components]
    if not others:
        return ""
    return f"is it in another component? {_base_with(distribution, [*recipe.base.components, *others])}"


def _base_with(distribution: Distribution, components: Sequence[str]) -> str:
    return f"base: {{{distribution.id}: {distribution.suite}, components: [{', '.join(components)}]}}"


def _check_archives(
    recipe: Recipe, distribution: Distribution, archives: Sequence[Archive], mirrors: Mapping[str, str]
) -> None:
    """Raise InputError for an apt source that is the distribution's own archive: apt takes one key for it."""
    own = {(mirrors[suite.archive].rstrip("/"), suite.name) for suite in distribution.suites}
    problems = []
    for archive in archives:
        if (mirrors[archive.name].rstrip("/"), archive.suite) in own:
            others = [name for name in archive.components if name in COMPONENTS[distribution.id]]
            hint = f"write {_base_with(distribution, others)}" if others else "it is there already"
            what = f"{archive.suite} is a suite of the distribution's own archive"
            problems.append(recipe.problem(archive.key_at[:2], what, hint=hint))
    if problems:
        raise InputError(f"the apt sources of {recipe.name} have problems", problems=problems)


def _kept(old: Lock | None, distribution: Distribution, index: Index, upgrade: Upgrade) -> dict[str, str]:
    """Return the versions to keep: locked, still offered, not released by the upgrade."""
    if old is None or old.distribution.model_dump() != distribution.plain():
        return {}
    return {
        name: version
        for name, version in old.versions().items()
        if not upgrade.moves(name) and version in index.versions(name)
    }


def _resolve(
    recipe: Recipe, distribution: Distribution, apt: AptRoot, index: Index, wanted: Selection
) -> Lock:
    base = _base(recipe, distribution, index)
    named = names_of(recipe.packages)
    names = sorted({*index.essential(), *base} - {*named}) + sorted(recipe.packages)
    apt.pin(wanted.pins)
    with ThreadPoolExecutor() as pool:
        # Tools are taken out of their packages, so what they depend on does not matter: their own version is
        # what counts.
        candidates = pool.submit(apt.candidates, distribution.tools) if distribution.tools else None
        try:
            solution = apt.solve([*names, *wanted.files])
            tools = [] if candidates is None else candidates.result()
        except CommandError as error:
            kept = f"the versions of the lock are kept where they can be: try {recipe.lock_command} --upgrade"
            raise IngotError(
                f"the packages of {recipe.name} conflict; apt says:\n{error.output.strip()}",
                hint=kept if wanted.pins else None,
            ) from error
    entries = [_entry(index.find(key), "install") for key in solution]
    entries += [_entry(index.find(key), "tool") for key in tools]
    # A recipe names no other than those that a lock can have.
    locked = LockedDistribution(id=distribution.id, suite=distribution.suite)  # type: ignore[arg-type]
    return Lock(
        format=1,
        distribution=locked,
        architecture=apt.architecture,  # type: ignore[arg-type]
        epoch=apt.epoch(),
        packages=tuple(sorted(entries, key=lambda entry: (entry.name, entry.role))),
        requested=Requested(
            base=base,
            packages=tuple(sorted(recipe.packages)),
            tools=tuple(sorted(distribution.tools)),
        ),
    )


def _base(recipe: Recipe, distribution: Distribution, index: Index) -> tuple[str, ...]:
    """Return the packages of every image without those that a package of the recipe takes the place of."""

    def is_replaced(name: str) -> bool:
        others = (other for other in names_of(recipe.packages) if other not in distribution.base_packages)
        return name in REPLACEABLE and any(index.conflict(name, other) for other in others)

    return tuple(name for name in distribution.base_packages if not is_replaced(name))


def _entry(package: IndexedPackage, role: str) -> LockedPackage:
    return LockedPackage(
        name=package.name,
        version=package.version,
        architecture=package.architecture,  # type: ignore[arg-type]
        sha256=package.sha256,
        size=package.size,
        path=package.path,
        archive=package.suite.archive,
        suite=package.suite.name,
        essential=package.essential,
        role=role,  # type: ignore[arg-type]
    )
