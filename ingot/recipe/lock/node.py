"""npm packages of a recipe: its package-lock.json, held against its package.json, and the lock of them."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from ingot.errors import InputError, Problem
from ingot.files import read_limited
from ingot.recipe.lock.artifacts import MAX_ARTIFACT
from ingot.recipe.schema.model import Recipe
from ingot.recipe.schema.values import Digest, NpmName, Text
from ingot.recipe.sources.expander import Expander
from ingot.recipe.syntax.document import At, place_in_json, shown
from ingot.recipe.syntax.explain import close_to

# Bytes: a lock file of 3,000 packages has 1.5 MB.
MAX_LOCK_FILE = 16 << 20
FORMATS = (2, 3)
_KINDS = ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies")
_REMAKE = "npm install --package-lock-only --lockfile-version 3"

NpmVersion = Annotated[str, Text(r"[0-9A-Za-z.+-]{1,100}", "a version", "1.0.0")]


class LockedNpmPackage(BaseModel):
    """One package of the npm registry; ``sha512`` is what the lock file calls its integrity, in hex."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    name: NpmName
    version: NpmVersion
    sha512: Annotated[str, Text(r"[0-9a-f]{128}", "a SHA-512 of 128 hex digits", "ab…")]
    sha256: Digest
    size: Annotated[int, Field(gt=0, le=MAX_ARTIFACT)]
    """Bytes."""


class LockedNode(BaseModel):
    """The npm packages of a lock."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    files_sha256: Digest
    """Of package.json and package-lock.json."""
    installer: LockedNpmPackage
    """npm, with which the bake installs the others; it is no part of the image."""
    packages: tuple[LockedNpmPackage, ...]


@dataclass(frozen=True)
class NpmEntry:
    """A package of the lock file that is to be installed; ``at`` is its place in the file."""

    name: str
    version: str
    sha512: str
    at: At


@dataclass(frozen=True)
class NpmFiles:
    """package-lock.json and package.json of a recipe, as they are."""

    path: Path
    lock: str
    manifest: str

    @property
    def sha256(self) -> str:
        """The digest of both."""
        texts = (self.manifest, self.lock)
        return hashlib.sha256(b"".join(hashlib.sha256(one.encode()).digest() for one in texts)).hexdigest()

    def problem(self, at: At, found: str, expected: str = "", hint: str | None = None) -> Problem:
        """Return a Problem at a place of the lock file."""
        return Problem(shown(self.path), *place_in_json(self.lock, at), found, expected, hint)


def npm_files(recipe: Recipe) -> NpmFiles:
    """Return the recipe's lock file and manifest. Raises InputError when one cannot be read."""
    problems: list[Problem] = []
    if recipe.node is not None:
        at = ("node",)
        path = Expander(recipe, problems).locate(recipe.node.package_lock, at, key="package_lock")
        if path is not None:
            try:
                files = (path, path.with_name("package.json"))
                lock, manifest = (read_limited(file, MAX_LOCK_FILE).decode() for file in files)
                return NpmFiles(path, lock, manifest)
            except (OSError, UnicodeDecodeError) as error:
                said = getattr(error, "strerror", None) or error
                found = f"{recipe.node.package_lock} or its package.json: {said}"
                problems.append(recipe.problem((*at, "package_lock"), found, "both files"))
    raise InputError(f"the npm packages of {recipe.name} cannot be read", problems=problems)


def read_entries(recipe: Recipe, files: NpmFiles, cpu: str) -> list[NpmEntry]:
    """Return what is to be installed on ``cpu``, as npm calls it.

    Raises InputError for a lock file of another format, one that does not fit package.json, and every package
    that has no hash, comes from elsewhere than a registry, or has an install script that the recipe does not
    allow.
    """
    node = recipe.node
    lock = _parsed(files.path, files.lock)
    manifest = _parsed(files.path.with_name("package.json"), files.manifest)
    if node is None or lock.get("lockfileVersion") not in FORMATS:
        what = f"a lock file of version {lock.get('lockfileVersion', 1)}"
        problem = files.problem(("lockfileVersion",), what, "version 2 or 3", f"run: {_REMAKE}")
        raise InputError(problem.found, problems=[problem])
    packages: Mapping[str, Any] = lock.get("packages", {})
    problems = list(_unfit(files, packages.get("", {}), manifest))
    entries: list[NpmEntry] = []
    for place, entry in packages.items():
        # What is bundled comes in the archive of another package.
        if not place or entry.get("inBundle") or _is_left_out(entry, node.omit) or not _fits(entry, cpu):
            continue
        at: At = ("packages", place)
        name = entry.get("name") or place.rpartition("node_modules/")[2]
        if (fault := _fault(files, at, name, entry, node.scripts)) is not None:
            problems.append(fault)
            continue
        sha512 = base64.b64decode(_sha512(entry)).hex()
        entries.append(NpmEntry(name, entry["version"], sha512, at))
    if problems:
        raise InputError(f"{files.path}: the lock file has problems", problems=problems)
    return entries


def _parsed(path: Path, text: str) -> Mapping[str, Any]:
    try:
        data = json.loads(text)
        if isinstance(data, dict):
            return data
        place, found = (1, 1), "no JSON object"
    except json.JSONDecodeError as error:
        place, found = (error.lineno, error.colno), error.msg
    except RecursionError:
        place, found = (1, 1), "too many nested values"
    raise InputError(found, problems=[Problem(shown(path), *place, found, "a file that npm writes")])


def _unfit(files: NpmFiles, root: Mapping[str, Any], manifest: Mapping[str, Any]) -> Sequence[Problem]:
    """Return where the lock file was made of another package.json."""
    found = []
    for kind in _KINDS:
        locked, wanted = root.get(kind, {}), manifest.get(kind, {})
        for name in sorted(locked.keys() | wanted.keys()):
            if locked.get(name) != wanted.get(name):
                what = (
                    f"{name} {locked.get(name, 'missing')}, but package.json has {wanted.get(name, 'none')}"
                )
                at: At = ("packages", "", kind, name) if name in locked else ("packages", "")
                found.append(files.problem(at, what, "", f"run: {_REMAKE}"))
    return found


def _is_left_out(entry: Mapping[str, Any], omit: Sequence[str]) -> bool:
    """Tell whether npm leaves a package out: package-lock.json(5), "packages"."""
    return (
        ("dev" in omit and bool(entry.get("dev")))
        or ("optional" in omit and bool(entry.get("optional")))
        or ("peer" in omit and bool(entry.get("peer")))
        or ({"dev", "optional"} <= set(omit) and bool(entry.get("devOptional")))
    )


def _fits(entry: Mapping[str, Any], cpu: str) -> bool:
    """Tell whether an optional package is for the image; npm itself refuses another one that is not."""
    platform = (("os", "linux"), ("cpu", cpu), ("libc", "glibc"))
    return not entry.get("optional") or all(_allows(entry.get(key, []), value) for key, value in platform)


def _allows(rule: Sequence[str] | str, value: str) -> bool:
    names = [rule] if isinstance(rule, str) else list(rule)
    wanted = [name for name in names if not name.startswith("!")]
    return f"!{value}" not in names and (not wanted or value in wanted or "any" in wanted)


def _fault(
    files: NpmFiles, at: At, name: str, entry: Mapping[str, Any], scripts: Sequence[str]
) -> Problem | None:
    """Return why a package cannot be taken."""
    resolved = str(entry.get("resolved", "https://"))  # npm may leave the registry's own address out
    if entry.get("link") or not resolved.startswith(("https://", "http://")):
        return files.problem(at, f"{name} is from {resolved}, not from the npm registry")
    if not _sha512(entry):
        return files.problem(at, f"{name} has no sha512", hint=f"run: {_REMAKE}")
    if entry.get("hasInstallScript") and name not in scripts:
        hint = f"node: {{scripts: [{name}]}} lets it run, in the image and without a network"
        return files.problem(at, f"{name} has an install script", hint=hint)
    return None


def _sha512(entry: Mapping[str, Any]) -> str:
    """Return the SHA-512 of an integrity (W3C, "Subresource Integrity"), in base64."""
    words = str(entry.get("integrity", "")).split()
    return next((word.removeprefix("sha512-") for word in words if word.startswith("sha512-")), "")


def require_node(recipe: Recipe, versions: Mapping[str, str]) -> None:
    """Raise InputError unless the image has Node.js, by the locked ``versions`` of its packages."""
    if "nodejs" not in versions:
        what = "npm packages, but the image has no Node.js"
        hint = close_to("nodejs", versions) or "packages: [nodejs]"
        problem = recipe.problem(("node",), what, hint=hint)
        raise InputError(problem.found, problems=[problem])


def stale_node(recipe: Recipe, locked: LockedNode | None, command: str) -> list[Problem]:
    """Return where the recipe's npm packages and those of its lock do not belong together."""
    if recipe.node is None:
        what = "the lock has npm packages, and the recipe does not"
        return [] if locked is None else [recipe.problem((), what, hint=command)]
    try:
        files = npm_files(recipe)
    except InputError as error:
        return error.problems
    at = ("node", "package_lock")
    if locked is None:
        return [recipe.problem(at, "the lock lacks the npm packages", hint=command)]
    if files.sha256 != locked.files_sha256:
        what = f"the lock was made with another {recipe.node.package_lock} or package.json"
        return [recipe.problem(at, what, hint=command)]
    return []


def moved_npm(old: LockedNode | None, new: LockedNode | None) -> list[str]:
    """Return one line for each package version that the new lock adds or removes."""
    before, after = (
        set() if lock is None else {(one.name, one.version) for one in lock.packages} for lock in (old, new)
    )
    lines = [(name, f"+ npm {name} {version}") for name, version in after - before]
    lines += [(name, f"- npm {name} {version}") for name, version in before - after]
    return [line for _, line in sorted(lines)]
