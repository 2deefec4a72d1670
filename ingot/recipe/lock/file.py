"""The lock, ``recipe.lock`` beside the recipe: every package with version and SHA-256, and the epoch."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from ingot.errors import IngotError, InputError, Problem
from ingot.files import write_atomically
from ingot.recipe.lock.ami import AmiLock, stale
from ingot.recipe.lock.archives import Archive, archives_of
from ingot.recipe.lock.distribution import DPKG_ARCHITECTURE, Distribution, distribution_of
from ingot.recipe.schema.model import Recipe
from ingot.recipe.syntax.document import shown
from ingot.recipe.syntax.explain import close_to_package

# The keys of a recipe that need a package which it does not name.
_NEEDED_FOR = {"tzdata": "timezone", "locales": "locale"}


class LockPart(BaseModel):
    """A part of the lock: immutable, exact types, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


L = TypeVar("L", bound=BaseModel)


def _below(path: str) -> str:
    if ".." in path.split("/"):
        raise ValueError("a path that climbs with '..'")
    return path


class LockedPackage(LockPart):
    """One package file of an archive."""

    name: str
    version: str
    architecture: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: Annotated[int, Field(gt=0)]
    """Bytes of the package file."""
    path: Annotated[str, Field(pattern=r"^[^/].*\.deb$"), AfterValidator(_below)]
    """Relative to the root of its archive."""
    archive: str
    suite: str
    essential: bool
    role: Literal["install", "tool"]


class LockedDistribution(LockPart):
    """The release that the packages are of."""

    id: Literal["debian", "ubuntu"]
    suite: str


class LockedArchive(LockPart):
    """An apt source of the recipe's own, and the keys that signed it."""

    name: str
    suite: str
    components: tuple[str, ...]
    fingerprints: tuple[str, ...]
    key_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Of the key file beside the recipe."""


class Requested(LockPart):
    """What was asked for by name: by the engine for every image, by the recipe, and as the bake's tools."""

    base: tuple[str, ...]
    packages: tuple[str, ...]
    tools: tuple[str, ...]


class Lock(LockPart):
    """The whole lock."""

    format: Literal[1]
    distribution: LockedDistribution
    architecture: str
    epoch: Annotated[int, Field(gt=0)]
    """Unix seconds: the newest date of the indexes when the lock was made anew.

    It fixes every timestamp of the image.
    """
    indexed: Annotated[int, Field(gt=0)] | None = None
    """Unix seconds: the newest date of the indexes that have all packages of the lock.

    None when it is the epoch.
    """
    packages: tuple[LockedPackage, ...]
    archives: tuple[LockedArchive, ...] = ()
    requested: Requested

    def plain(self) -> dict[str, Any]:
        """Return the lock as plain JSON data."""
        plain = self.model_dump(mode="json")
        if not self.archives:
            del plain["archives"]
        if self.indexed is None:
            del plain["indexed"]
        return plain

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
    if recipe.base.ami is not None or base != recipe.base.model_dump(exclude_none=True):
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
    return Problem(shown(recipe.lock_path), 1, 1, "no such file", "the lock of the recipe", command)


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
    return _read(recipe, Lock)


def read_ami_lock(recipe: Recipe) -> AmiLock | None:
    """Return the lock of a base AMI likewise."""
    return _read(recipe, AmiLock)


def _read(recipe: Recipe, kind: type[L]) -> L | None:
    path = recipe.lock_path
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        # pydantic names the place of a syntax error in its message.
        at = re.search(r"line (\d+) column (\d+)", first["msg"])
        # At the end of a text the parser counts columns from 0.
        line, column = (int(at[1]), max(int(at[2]), 1)) if at else (1, 1)
        where = ".".join(str(step) for step in first["loc"])
        found = f"{where}: {first['msg']}" if where else first["msg"]
        hint = f"it is written by a program: restore it, or delete it and run: {recipe.lock_command}"
        problem = Problem(shown(path), line, column, found, "a lock as `ingot lock` writes it", hint)
        raise InputError(f"{path}: malformed", problems=[problem]) from error


def lock_text(lock: Lock) -> str:
    """Return the lock as it is written: one line for each package, so that a review sees what moved."""
    data = lock.plain()
    lines = [f"  {json.dumps(package, sort_keys=True, ensure_ascii=False)}" for package in data["packages"]]
    text = json.dumps({**data, "packages": []}, indent=1, sort_keys=True, ensure_ascii=False)
    # The recipe's own list of names has the same key, but stands further in.
    return text.replace('\n "packages": []', '\n "packages": [\n' + ",\n".join(lines) + "\n ]", 1) + "\n"


def write_lock(recipe: Recipe, lock: Lock | AmiLock) -> None:
    """Write the lock beside the recipe, whole or not at all; raise IngotError when it cannot be written."""
    try:
        write_atomically(recipe.own_lock_path, lock.text() if isinstance(lock, AmiLock) else lock_text(lock))
    except OSError as error:
        raise IngotError(f"{shown(recipe.own_lock_path)} cannot be written: {error.strerror}") from error


def _stale(recipe: Recipe, distribution: Distribution, lock: Lock, command: str) -> list[Problem]:
    """Return where recipe and lock do not belong together."""
    found: list[Problem] = []
    if distribution.plain() != lock.distribution.model_dump():
        locked = lock.distribution
        what = f"{distribution.id} {distribution.suite}, but the lock is of {locked.id} {locked.suite}"
        found.append(recipe.problem(("base", distribution.id), what, "the same in both", command))
    if DPKG_ARCHITECTURE[recipe.architecture] != lock.architecture:
        what = f"{recipe.architecture}, but the lock is for {lock.architecture}"
        found.append(recipe.problem(("architecture",), what, "the same in both", command))
    found += _stale_archives(recipe, lock, command)
    found += _lacking(recipe, lock)
    # Not the rest of the base: a lock that was made before Ingot's own list changed is still a whole image.
    for name in sorted({*distribution.base_packages, *distribution.tools} & _NEEDED_FOR.keys()):
        if name not in lock.versions():
            what = f"a {_NEEDED_FOR[name]} that needs {name}, which the lock lacks"
            found.append(recipe.problem((_NEEDED_FOR[name],), what, "a lock of this recipe", command))
    for name in sorted(set(lock.requested.packages) - set(recipe.packages)):
        what = f"no package {name!r}, but the lock was made with it"
        found.append(recipe.problem(("packages",), what, "a lock of this recipe", command))
    return found


def _lacking(recipe: Recipe, lock: Lock) -> list[Problem]:
    """Return which packages of the recipe its lock was not made with."""
    known = [package.name for package in lock.packages]

    def hint(name: str) -> str:
        near = close_to_package(name, known)
        return (
            f"{near} If the name is right, run: {recipe.lock_command}"
            if near
            else f"run: {recipe.lock_command}"
        )

    return [
        recipe.problem(
            ("packages", number),
            f"the package {name!r}, which the lock lacks",
            "a lock of this recipe",
            hint(name),
        )
        for number, name in enumerate(recipe.packages)
        if name not in lock.requested.packages
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
        what = f"the archive {archive.name!r}, which the lock " + ("has otherwise" if known else "lacks")
        if known and archive.key_sha256 not in {other.key_sha256 for other in lock.archives}:
            what = f"another key of the archive {archive.name!r} than the lock was made with"
        found.append(recipe.problem(("apt_sources", number), what, "a lock of this recipe", command))
    for name in sorted({other.name for other in lock.archives} - {archive.name for archive in archives}):
        what = f"no archive {name!r}, but the lock was made with it"
        found.append(recipe.problem(("apt_sources",), what, "a lock of this recipe", command))
    return found
