"""Python packages of a recipe: its requirements file, the wheels that fit the image, and the lock of them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ingot.errors import InputError, Problem
from ingot.files import read_limited
from ingot.recipe.lock.artifacts import MAX_ARTIFACT
from ingot.recipe.lock.distribution import DPKG_ARCHITECTURE
from ingot.recipe.lock.requirements import PinnedRequirement, PythonTarget, Requirements
from ingot.recipe.schema.model import Recipe
from ingot.recipe.schema.values import Digest, Text
from ingot.recipe.sources.expander import Expander
from ingot.recipe.syntax.explain import close_to

# Bytes: a thousand packages with twenty hashes each have 2 MB.
MAX_REQUIREMENTS = 16 << 20
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
_HASH = re.compile(r"\s--hash=(\S+)")
_HINT = "`uv export` or `pip-compile --generate-hashes` write such a file"

Version = Annotated[str, Text(r"[0-9A-Za-z.!+_-]{1,100}", "a version", "1.0")]


class LockedWheel(BaseModel):
    """One wheel of an index: ``file`` is its name there."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    name: Annotated[str, Text(r"[a-z0-9]([a-z0-9-]{0,98}[a-z0-9])?", "the name of a package", "flask")]
    version: Version
    file: Annotated[str, Text(r"[A-Za-z0-9_.!+-]{1,250}\.whl", "the name of a wheel", "a-1-py3-none-any.whl")]
    sha256: Digest
    size: Annotated[int, Field(gt=0, le=MAX_ARTIFACT)]
    """Bytes."""


class LockedPython(BaseModel):
    """The Python packages of a lock, and what they were chosen for."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    python: Annotated[str, Text(r"3\.[0-9]{1,2}", "a version of Python", "3.11")]
    requirements_sha256: Digest
    """Of the requirements file or the uv.lock beside the recipe."""
    installer: LockedWheel
    """pip, with which the bake installs the others; it is no part of the image."""
    wheels: tuple[LockedWheel, ...]


def python_target(recipe: Recipe, versions: Mapping[str, str]) -> PythonTarget:
    """Return what the recipe's wheels must fit, by the locked ``versions`` of its packages.

    Raises InputError when the image has no such Python.
    """
    python = recipe.python
    if python is None:
        raise InputError(f"the recipe {recipe.name} has no Python packages")
    named = python.interpreter.removeprefix("/usr/bin/python")
    package = "python3" if named == "3" else f"python{named}"
    glibc = re.match(r"(\d+)\.(\d+)", versions.get("libc6", ""))
    found = re.match(r"(3\.\d+)", versions.get(package, ""))
    if found is None or glibc is None:
        near = close_to(package, versions)
        problem = recipe.problem(
            ("python",),
            f"the image has no {python.interpreter}",
            hint=near or f"add {package} to packages",
        )
        raise InputError(problem.found, problems=[problem])
    machine = _MACHINES[DPKG_ARCHITECTURE[recipe.architecture]]
    return PythonTarget(found[1], (int(glibc[1]), int(glibc[2])), machine)


def requirements_file(recipe: Recipe, problems: list[Problem]) -> tuple[Path, bytes] | None:
    """Return the recipe's requirements file, or its uv.lock, and the content.

    Add to ``problems`` why it cannot be used.
    """
    if recipe.python is None:
        return None
    at = ("python",)
    key, name = recipe.python.file
    path = Expander(recipe, problems).locate(name, at, key=key)
    if path is None:
        return None
    try:
        return path, read_limited(path, MAX_REQUIREMENTS)
    except OSError as error:
        found = f"{name}: {error.strerror or error}"
        problems.append(recipe.problem((*at, key), found, "a file that can be read"))
        return None


def read_requirements(recipe: Recipe, target: PythonTarget) -> Requirements:
    """Return the requirements of a recipe, those that apply to ``target``.

    Raises InputError that names every line which is no NAME==VERSION with hashes, or every package of a
    uv.lock that cannot be taken.
    """
    problems: list[Problem] = []
    found = requirements_file(recipe, problems)
    if found is None:
        raise InputError(f"the requirements of {recipe.name} cannot be read", problems=problems)
    path, content = found
    file = Requirements(path, hashlib.sha256(content).hexdigest(), ())
    if recipe.python is not None and recipe.python.uv_lock is not None:
        from ingot.recipe.lock.uv import UvLock  # not for each command that reads a recipe

        locked = UvLock(file, content.decode("utf-8", "replace"), target, problems).wanted()
        if problems:
            raise InputError(f"{path}: the lock of uv has problems", problems=problems)
        return Requirements(path, file.sha256, tuple(locked))
    wanted: dict[str, PinnedRequirement] = {}
    for line, text in _logical_lines(content.decode("utf-8", "replace")):
        pinned = _pinned(file, line, text, target, problems)
        if pinned is not None and pinned.name in wanted:
            what = f"{pinned.name} a second time; line {wanted[pinned.name].line} has it"
            problems.append(file.problem(line, what, "each package once"))
        elif pinned is not None:
            wanted[pinned.name] = pinned
    if problems:
        raise InputError(f"{path}: the requirements have problems", problems=problems)
    return Requirements(path, file.sha256, tuple(wanted.values()))


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Give each line with those that continue it, without comments: pip's "Requirements File Format"."""
    start, whole = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        start = start if whole else number
        line = re.sub(r"(^|\s)#.*$", "", line)
        if line.rstrip().endswith("\\"):
            whole += line.rstrip()[:-1] + " "
            continue
        if (whole + line).strip():
            yield start, (whole + line).strip()
        whole = ""
    if whole.strip():
        yield start, whole.strip()


def _pinned(
    file: Requirements, line: int, text: str, target: PythonTarget, problems: list[Problem]
) -> PinnedRequirement | None:
    """Return a requirement of a line; None for one that does not apply, and for a wrong one."""
    # Not for each command that reads a recipe.
    from packaging.markers import UndefinedEnvironmentName
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    if text.startswith("-"):
        hint = "which index it is says pip's own configuration on this machine (PIP_INDEX_URL, pip.conf)"
        problems.append(file.problem(line, f"the option {text.split()[0]}", "packages alone", hint))
        return None
    hashes = [match[1] for match in _HASH.finditer(text)]
    try:
        requirement = Requirement(_HASH.sub("", text).strip())
        applies = requirement.marker is None or requirement.marker.evaluate(target.environment())
    except (InvalidRequirement, UndefinedEnvironmentName) as error:
        problems.append(file.problem(line, f"{text[:60]!r}: {str(error).splitlines()[0]}", "NAME==VERSION"))
        return None
    versions = [one.version for one in requirement.specifier if one.operator in ("==", "===")]
    if requirement.url or len(versions) != 1 or len(requirement.specifier) != 1 or "*" in versions[0]:
        what = f"{_HASH.sub('', text).strip()!r}"
        problems.append(file.problem(line, what, "one exact version, NAME==VERSION", _HINT))
        return None
    digests = frozenset(one.removeprefix("sha256:") for one in hashes if one.startswith("sha256:"))
    if not digests:
        what = f"{requirement.name}=={versions[0]} without a hash"
        problems.append(file.problem(line, what, "--hash=sha256:… behind it", _HINT))
        return None
    name = canonicalize_name(requirement.name)
    return PinnedRequirement(name, versions[0], digests, line) if applies else None


def stale_python(recipe: Recipe, locked: LockedPython | None, command: str) -> list[Problem]:
    """Return where the recipe's Python packages and those of its lock do not belong together."""
    if recipe.python is None:
        if locked is None:
            return []
        what = "the lock has Python packages, and the recipe does not"
        return [recipe.problem((), what, hint=command)]
    problems: list[Problem] = []
    found = requirements_file(recipe, problems)
    if found is None:
        return problems
    key, name = recipe.python.file
    at = ("python", key)
    if locked is None:
        return [recipe.problem(at, "the lock lacks the Python packages", hint=command)]
    if hashlib.sha256(found[1]).hexdigest() != locked.requirements_sha256:
        what = f"the lock was made with another {name}"
        return [recipe.problem(at, what, hint=command)]
    return []


def moved_wheels(old: Sequence[LockedWheel], new: Sequence[LockedWheel]) -> list[str]:
    """Return one line for each package that the new lock adds, removes or moves to another version."""
    before, after = ({wheel.name: wheel for wheel in wheels} for wheels in (old, new))
    lines = []
    for name in sorted(before.keys() | after.keys()):
        if name not in before:
            lines.append(f"+ python {name} {after[name].version}")
        elif name not in after:
            lines.append(f"- python {name} {before[name].version}")
        elif before[name].version != after[name].version:
            lines.append(f"  python {name} {before[name].version} -> {after[name].version}")
        elif before[name] != after[name]:
            lines.append(f"  python {name} {after[name].version}, another file")
    return lines
