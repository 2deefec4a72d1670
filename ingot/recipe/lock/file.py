"""The lock, ``recipe.lock`` beside the recipe: every package with version and SHA-256, and the epoch."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from ingot.errors import IngotError, InputError, Problem
from ingot.escape import shortened
from ingot.files import read_limited, write_atomically
from ingot.recipe.lock.ami import AmiLock, stale
from ingot.recipe.lock.archives import Archive, archives_of
from ingot.recipe.lock.artifacts import ARTIFACT, LockedArtifact, stale_artifacts
from ingot.recipe.lock.distribution import DPKG_ARCHITECTURE, Distribution, distribution_of
from ingot.recipe.lock.mirrors import ARCHIVES
from ingot.recipe.lock.node import LockedNode, stale_node
from ingot.recipe.lock.python import LockedPython, stale_python
from ingot.recipe.schema.model import Recipe
from ingot.recipe.schema.packages import PackageChoice, PackageText, names_of
from ingot.recipe.schema.values import (
    ArchiveName,
    ComponentName,
    PackageName,
    PackageVersion,
    StageName,
    SuiteName,
    Text,
)
from ingot.recipe.syntax.document import At, place_in_json, shown
from ingot.recipe.syntax.explain import close_to_package, wrong

# The keys of a recipe that need a package which it does not name.
_NEEDED_FOR = {"tzdata": "timezone", "locales": "locale"}


class LockPart(BaseModel):
    """A part of the lock: immutable, exact types, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


L = TypeVar("L", bound=BaseModel)
# Bytes. A package takes about 400.
MAX_LOCK = 32 << 20
# How many faults of a lock an error names: it is written by a program, so one is enough to see what happened.
MAX_FAULTS = 20
# ar(5) has ten digits for the size of a member.
MAX_PACKAGE = 10**10 - 1
# What tools read a timestamp as unsigned 32 bits.
MAX_EPOCH = 2**32 - 1


def _below(path: str) -> str:
    parts = path.split("/")
    if path.startswith("/") or ".." in parts or "\\" in path or not path.isprintable() or len(path) > 1024:
        raise wrong(f"the path {path[:60]!r}", "one below the root of its archive")
    if not path.endswith(".deb"):
        raise wrong(f"the path {path[:60]!r}", "that of a package, which ends with .deb")
    return path


# Debian Policy 5.6.8, of the architectures that Ingot bakes.
Architecture = Literal["amd64", "arm64"]
Sha256 = Annotated[str, Text(r"[0-9a-f]{64}", "a SHA-256 of 64 hex digits", "ab…")]
Fingerprint = Annotated[
    str, Text(r"[0-9A-F]{40}|[0-9A-F]{64}", "a fingerprint of 40 or 64 hex digits", "AB…")
]
Epoch = Annotated[int, Field(gt=0, le=MAX_EPOCH)]


class LockedPackage(LockPart):
    """One package file of an archive."""

    name: PackageName
    version: PackageVersion
    architecture: Literal["amd64", "arm64", "all"]
    sha256: Sha256
    size: Annotated[int, Field(gt=0, le=MAX_PACKAGE)]
    """Bytes of the package file."""
    path: Annotated[str, AfterValidator(_below)]
    """Relative to the root of its archive."""
    archive: ArchiveName
    suite: SuiteName
    essential: bool
    role: Literal["install", "tool"]


class LockedDistribution(LockPart):
    """The release that the packages are of."""

    id: Literal["debian", "ubuntu"]
    suite: SuiteName


class LockedArchive(LockPart):
    """An apt source of the recipe's own, and the keys that signed it."""

    name: ArchiveName
    suite: SuiteName
    components: tuple[ComponentName, ...]
    fingerprints: tuple[Fingerprint, ...]
    key_sha256: Sha256
    """Of the key file beside the recipe."""


class Requested(LockPart):
    """What was asked for by name: by the engine for every image, by the recipe, and as the bake's tools."""

    base: tuple[PackageName, ...]
    packages: tuple[PackageText, ...]
    tools: tuple[PackageName, ...]


class LockedStage(LockPart):
    """What a stage of the recipe is made of: the fields of a lock that are not the recipe's."""

    epoch: Epoch
    indexed: Epoch | None = None
    packages: tuple[LockedPackage, ...]
    artifacts: tuple[LockedArtifact, ...] = ()
    python: LockedPython | None = None
    node: LockedNode | None = None
    requested: Requested


class Lock(LockPart):
    """The whole lock."""

    format: Literal[1]
    distribution: LockedDistribution
    architecture: Architecture
    epoch: Epoch
    """Unix seconds: the newest date of the indexes when everything in the lock was resolved.

    It fixes every timestamp of the image.
    """
    indexed: Epoch | None = None
    """Unix seconds: the newest date of the indexes that have all packages of the lock.

    None when it is the epoch.
    """
    packages: tuple[LockedPackage, ...]
    archives: tuple[LockedArchive, ...] = ()
    artifacts: tuple[LockedArtifact, ...] = ()
    python: LockedPython | None = None
    node: LockedNode | None = None
    stages: dict[StageName, LockedStage] = {}
    requested: Requested

    def plain(self) -> dict[str, Any]:
        """Return the lock as plain JSON data."""
        plain = self.model_dump(mode="json")
        for part in (plain, *plain["stages"].values()):
            for key in ("archives", "artifacts", "python", "node", "stages", "indexed"):
                if key in part and not part[key]:
                    del part[key]
        return plain

    def stage(self, name: str) -> Lock | None:
        """Return the lock of a stage, as that of a recipe; None when there is none."""
        if name not in self.stages:
            return None
        own = {key: getattr(self.stages[name], key) for key in LockedStage.model_fields}
        none: dict[str, object] = {"stages": {}}
        return self.model_copy(update={**own, **none})

    def as_stage(self) -> LockedStage:
        """Return the lock of a recipe that is a stage, as the lock of the whole recipe has it."""
        return LockedStage.model_construct(**{key: getattr(self, key) for key in LockedStage.model_fields})

    def index_date(self) -> int:
        """Return the date of the index that has all packages, in Unix seconds, for a snapshot archive."""
        return self.epoch if self.indexed is None else self.indexed

    def versions(self) -> dict[str, str]:
        """Return the locked version of each package."""
        return {package.name: package.version for package in self.packages}


def load_lock(recipe: Recipe) -> Lock | AmiLock:
    """Return the recipe's lock; raise InputError when it is missing, malformed or stale."""
    lock: Lock | AmiLock | None = read_lock(recipe) if recipe.base.ami is None else read_ami_lock(recipe)
    command = f"run: {recipe.lock_command}"
    if lock is None:
        raise InputError(f"{shown(recipe.lock_path)} is missing", problems=[_missing(recipe)], hint=command)
    if isinstance(lock, AmiLock):
        problems = stale(recipe, lock, command)
    else:
        problems = _stale(recipe, distribution_of(recipe), lock, command)
    if problems:
        raise InputError(f"the lock of {recipe.name} is stale", problems=problems, hint=command)
    return lock


def problems_beside(recipe: Recipe, others: Sequence[Problem]) -> list[Problem]:
    """Return what is wrong with the lock of a recipe with ``others``: only what those cannot have caused."""
    whole = (recipe.document.origin or recipe.document).data
    base = whole.get("base") if isinstance(whole, dict) else None
    if recipe.base.ami is not None or base != recipe.base.model_dump(exclude_defaults=True, mode="json"):
        return []
    try:
        lock = read_lock(recipe)
    except InputError as error:
        return error.problems
    known = {(problem.file, problem.line, problem.column) for problem in others}
    found = [_missing(recipe)] if lock is None else _lacking(recipe, lock)
    return [problem for problem in found if (problem.file, problem.line, problem.column) not in known]


def _missing(recipe: Recipe) -> Problem:
    command = f"run: {recipe.lock_command}"
    return Problem(shown(recipe.lock_path), 1, 1, "the recipe has no lock yet", hint=command)


def load_packages_lock(recipe: Recipe) -> Lock:
    """Return the lock of a recipe that is baked from scratch.

    Raise InputError likewise, and for a base AMI.
    """
    lock = load_lock(recipe)
    if isinstance(lock, AmiLock):
        raise InputError(f"{recipe.name} is on a base AMI, which has no lock of packages")
    return lock


def read_lock(recipe: Recipe) -> Lock | None:
    """Return the lock of packages as it stands, stale or not; None when there is none.

    Raises InputError when malformed.
    """
    lock = _read(recipe, Lock)
    return lock if lock is None or recipe.stage_name is None else lock.stage(recipe.stage_name)


def read_ami_lock(recipe: Recipe) -> AmiLock | None:
    """Return the lock of a base AMI likewise."""
    return _read(recipe, AmiLock)


def _read(recipe: Recipe, kind: type[L]) -> L | None:
    path = recipe.lock_path
    hint = f"it is written by a program: restore it, or delete it and run: {recipe.lock_command}"

    def problem(
        place: tuple[int, int], found: str, expected: str = "a lock as `ingot lock` writes it"
    ) -> Problem:
        return Problem(shown(path), *place, found, expected, hint)

    try:
        content = read_limited(path, MAX_LOCK)
        lock = kind.model_validate_json(content)
    except FileNotFoundError:
        return None
    except OSError as error:
        problems = [problem((1, 1), error.strerror or str(error))]
    except ValidationError as error:
        text = content.decode("utf-8", "replace")
        faults = error.errors(include_url=False)
        # Of a format that this version does not know, nothing else counts.
        faults = [details for details in faults if details["loc"] == ("format",)] or faults
        problems = [problem(*_explained(details, text)) for details in faults[:MAX_FAULTS]]
    else:
        if not isinstance(lock, Lock):
            return lock
        text = content.decode()
        problems = [
            problem(place_in_json(text, at), f"{_dotted(at)}: {found}", expected)
            for at, found, expected in _contradictions(lock)[:MAX_FAULTS]
        ]
        if not problems:
            return lock
    raise InputError(f"{path}: malformed", problems=problems)


def _explained(details: ErrorDetails, text: str) -> tuple[tuple[int, int], str, str]:
    """Return the place of an error in the text of a lock, what was found and what was expected."""
    at, context = details["loc"], details.get("ctx", {})
    where = f"{_dotted(at)}: " if at else ""
    if details["type"] == "ingot":
        return place_in_json(text, at), f"{where}{context['found']}", context["expected"]
    found = f"{where}{details['msg']}"
    # pydantic names the place of a syntax error in its message; at the end of a text it counts columns from
    # 0.
    match = re.search(r"line (\d+) column (\d+)", details["msg"])
    place = (int(match[1]), max(int(match[2]), 1)) if match else place_in_json(text, at)
    return place, found, "a lock as `ingot lock` writes it"


def _dotted(at: At) -> str:
    return ".".join(shortened(step, 60) for step in at)


def _contradictions(lock: Lock) -> list[tuple[At, str, str]]:
    """Return what does not go together in a lock and its stages: where, what was found, what was expected."""
    found = _contradictions_of(lock)
    for name in lock.stages:
        stage = lock.stage(name)
        inner = [] if stage is None else _contradictions_of(stage)
        found += [(("stages", name, *at), what, expected) for at, what, expected in inner]
    return found


def _contradictions_of(lock: Lock) -> list[tuple[At, str, str]]:
    known = [*ARCHIVES[lock.distribution.id], *(archive.name for archive in lock.archives)]
    known += [ARTIFACT] if lock.artifacts else []
    urls = [artifact.url for artifact in lock.artifacts]
    found_twice = next((n for n, url in enumerate(urls) if url in urls[:n]), None)
    found: list[tuple[At, str, str]] = []
    seen: set[tuple[str, str]] = set()
    choices = {choice.name: choice for choice in map(PackageChoice.of, lock.requested.packages)}
    if found_twice is not None:
        at_twice: At = ("artifacts", found_twice, "url")
        found.append((at_twice, f"the artifact {urls[found_twice]} a second time", "each artifact once"))
    if not lock.packages:
        found.append((("packages",), "no package", "those of an image"))
    for number, package in enumerate(lock.packages):
        at: At = ("packages", number)
        if package.archive not in known:
            found.append(((*at, "archive"), f"the archive {package.archive!r}", f"one of {', '.join(known)}"))
        if package.architecture not in ("all", lock.architecture):
            what = f"a package for {package.architecture}"
            found.append(((*at, "architecture"), what, f"{lock.architecture} or all, as the lock is for"))
        if (package.name, package.role) in seen:
            found.append(((*at, "name"), f"the package {package.name!r} a second time", "each package once"))
        seen.add((package.name, package.role))
        choice = choices.get(package.name)
        if package.role == "install" and choice and not choice.takes(package.version, package.suite):
            what = f"{package.name} {package.version} of {package.suite}, but another one was asked for"
            found.append(
                ((*at, "version"), what, f"version {choice.version}" if choice.version else "its suite")
            )
    return found


def lock_text(lock: Lock) -> str:
    """Return the lock as it is written: one line for each package, so that a review sees what moved."""
    data = lock.plain()
    stages = data.get("stages", {})
    lists = [(" ", data["packages"]), *(("   ", stages[name]["packages"]) for name in sorted(stages))]
    for part in (data, *stages.values()):
        part["packages"] = []
    text = json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False)
    for indent, packages in lists:
        # What is asked for by name has the same key, but stands further in.
        lines = [f"{indent} {json.dumps(one, sort_keys=True, ensure_ascii=False)}" for one in packages]
        whole = f'\n{indent}"packages": [\n' + ",\n".join(lines) + f"\n{indent}]"
        text = text.replace(f'\n{indent}"packages": []', whole, 1)
    return text + "\n"


def write_lock(recipe: Recipe, lock: Lock | AmiLock) -> None:
    """Write the lock beside the recipe, whole or not at all; raise IngotError when it cannot be written."""
    try:
        write_atomically(recipe.own_lock_path, lock.text() if isinstance(lock, AmiLock) else lock_text(lock))
    except OSError as error:
        raise IngotError(f"{shown(recipe.own_lock_path)} cannot be written: {error.strerror}") from error


def _stale(recipe: Recipe, distribution: Distribution, lock: Lock, command: str) -> list[Problem]:
    """Return where recipe and lock do not belong together."""
    found = [] if recipe.whole is not None else _stale_machine(recipe, distribution, lock, command)
    found += stale_artifacts(recipe, lock.artifacts, command)
    found += stale_python(recipe, lock.python, command)
    found += stale_node(recipe, lock.node, command)
    found += _lacking(recipe, lock)
    named = names_of(recipe.packages)
    for name in sorted(name for name in names_of(lock.requested.packages) if name not in named):
        what = f"the lock has the package {name!r}, and the recipe does not"
        found.append(recipe.problem(("packages",), what, hint=command))
    for name in recipe.stages:
        stage, locked = recipe.stage(name), lock.stage(name)
        if locked is None:
            what = f"the lock lacks the stage {name!r}"
            found.append(recipe.problem(("stages", name), what, hint=command))
        else:
            found += _stale(stage, distribution_of(stage), locked, command)
    for name in sorted(lock.stages.keys() - recipe.stages.keys()):
        what = f"the lock has the stage {name!r}, and the recipe does not"
        found.append(recipe.problem(("stages",), what, hint=command))
    return found


def _stale_machine(recipe: Recipe, distribution: Distribution, lock: Lock, command: str) -> list[Problem]:
    """Return where they do not fit in what a recipe has and its stages share."""
    found: list[Problem] = []
    if distribution.plain() != lock.distribution.model_dump():
        own, locked = f"{distribution.id} {distribution.suite}", lock.distribution
        what = f"the recipe is for {own}, and the lock for {locked.id} {locked.suite}"
        found.append(recipe.problem(("base", distribution.id), what, hint=command))
    if DPKG_ARCHITECTURE[recipe.architecture] != lock.architecture:
        what = f"the recipe is for {recipe.architecture}, and the lock for {lock.architecture}"
        found.append(recipe.problem(("architecture",), what, hint=command))
    found += _stale_archives(recipe, lock, command)
    # Not the rest of the base: a lock that was made before Ingot's own list changed is still a whole image.
    for name in sorted({*distribution.base_packages, *distribution.tools} & _NEEDED_FOR.keys()):
        if name not in lock.versions():
            what = f"{_NEEDED_FOR[name]} needs {name}, which the lock lacks"
            found.append(recipe.problem((_NEEDED_FOR[name],), what, hint=command))
    if "xfsprogs" in distribution.base_packages and "xfsprogs" not in lock.versions():
        at = "volumes" if any(volume.filesystem == "xfs" for volume in recipe.volumes) else "instance_store"
        what = "a volume with xfs needs xfsprogs, which the lock lacks"
        found.append(recipe.problem((at,), what, hint=command))
    return found


def _lacking(recipe: Recipe, lock: Lock) -> list[Problem]:
    """Return which packages of the recipe its lock was not made with."""
    known = [package.name for package in lock.packages]
    requested = dict(zip(names_of(lock.requested.packages), lock.requested.packages, strict=True))

    def what(text: str) -> str:
        other = requested.get(PackageChoice.of(text).name)
        return (
            f"the lock has the package {other!r} instead of {text!r}"
            if other
            else f"the lock lacks the package {text!r}"
        )

    def hint(text: str) -> str:
        name = PackageChoice.of(text).name
        near = None if name in requested else close_to_package(name, known)
        return (
            f"{near} If the name is right, run: {recipe.lock_command}"
            if near
            else f"run: {recipe.lock_command}"
        )

    return [
        recipe.problem(
            ("packages", number),
            what(text),
            "",
            hint(text),
        )
        for number, text in enumerate(recipe.packages)
        if text not in lock.requested.packages
    ]


def locked_archive(archive: Archive, fingerprints: tuple[str, ...]) -> LockedArchive:
    """Return what a lock says of an archive: not where it is, which its packages' hashes make irrelevant."""
    return LockedArchive(
        name=archive.name,
        suite=archive.suite,
        components=archive.components,
        fingerprints=fingerprints,
        key_sha256=archive.key_sha256,
    )


def _stale_archives(recipe: Recipe, lock: Lock, command: str) -> list[Problem]:
    archives = archives_of(recipe)
    found = []
    for number, archive in enumerate(archives):
        # The fingerprints follow from the key file, which the lock has the hash of.
        if any(locked_archive(archive, other.fingerprints) == other for other in lock.archives):
            continue
        known = any(other.name == archive.name for other in lock.archives)
        what = f"the lock {'has another form of' if known else 'lacks'} the archive {archive.name!r}"
        if known and archive.key_sha256 not in {other.key_sha256 for other in lock.archives}:
            what = f"the lock was made with another key of the archive {archive.name!r}"
        found.append(recipe.problem(("apt_sources", number), what, hint=command))
    for name in sorted({other.name for other in lock.archives} - {archive.name for archive in archives}):
        what = f"the lock has the archive {name!r}, and the recipe does not"
        found.append(recipe.problem(("apt_sources",), what, hint=command))
    return found
