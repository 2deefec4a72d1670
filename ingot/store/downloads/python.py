"""Locking the Python packages of a recipe: the wheels that fit its image, held against the requirements."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from packaging.utils import parse_wheel_filename

from ingot.errors import InputError, Problem
from ingot.process import CommandError
from ingot.progress import Progress
from ingot.recipe.lock.python import LockedPython, LockedWheel, python_target, read_requirements
from ingot.recipe.lock.requirements import Requirements
from ingot.recipe.schema.model import Recipe
from ingot.store.downloads.wheels import WheelTarget, download

_NO_WHEEL = (
    "source distributions and wheels for other platforms are not taken: choose another version, or build the"
    " wheel and name the directory that has it in PIP_FIND_LINKS; pip says"
)


def lock_python(
    recipe: Recipe,
    versions: Mapping[str, str],
    known: LockedPython | None,
    directory: Path,
    progress: Progress,
) -> LockedPython:
    """Return the recipe's Python packages as they are to be locked, their wheels in ``directory``.

    ``versions`` are those of the image's packages. What is ``known`` stays while the requirements and the
    image's Python do. Raises InputError with the line of each package that the index has not as the
    requirements say.
    """
    target = python_target(recipe, versions)
    requirements = read_requirements(recipe, target)
    made_for = (target.python, requirements.sha256)
    if known is not None and (known.python, known.requirements_sha256) == made_for:
        return known
    platform = WheelTarget(target.python, target.glibc, target.machine)
    progress(f"fetching {len(requirements.wanted)} Python packages for Python {target.python}")
    wheels = _wheels(requirements, platform, directory)
    return LockedPython(
        python=target.python,
        requirements_sha256=requirements.sha256,
        installer=_installer(platform, directory) if known is None else known.installer,
        wheels=tuple(sorted(wheels, key=lambda wheel: wheel.name)),
    )


def _installer(platform: WheelTarget, directory: Path) -> LockedWheel:
    """Return the newest pip that the image's Python can run."""
    file, (digest, size) = next(iter(download(["pip"], platform, directory).items()))
    version = str(parse_wheel_filename(file)[1])
    return LockedWheel(name="pip", version=version, file=file, sha256=digest, size=size)


def _wheels(requirements: Requirements, platform: WheelTarget, directory: Path) -> list[LockedWheel]:
    """Return the wheel of each requirement. Raises InputError that names every line without a fitting one."""
    wanted = requirements.wanted
    problems: list[Problem] = []
    found: dict[str, tuple[str, int]] = {}
    try:
        found.update(download([f"{one.name}=={one.version}" for one in wanted], platform, directory))
    except CommandError:
        for one in wanted:  # one by one: pip names no more than the first that it cannot have
            try:
                found.update(download([f"{one.name}=={one.version}"], platform, directory))
            except CommandError as error:
                said = next((line for line in error.output.splitlines() if line.startswith("ERROR:")), "")
                place = f"Python {platform.python} on {platform.machine}"
                what = f"{one.name}=={one.version} has no wheel for {place}"
                problems.append(requirements.problem(one.line, what, "one that fits", f"{_NO_WHEEL}: {said}"))
    by_name = {}
    for file, (digest, size) in found.items():
        name, version, _, _ = parse_wheel_filename(file)
        by_name[str(name)] = LockedWheel(
            name=str(name), version=str(version), file=file, sha256=digest, size=size
        )
    for one in wanted:
        wheel = by_name.get(one.name)
        if wheel is not None and wheel.sha256 not in one.hashes:
            what = f"{wheel.file} with the SHA-256 {wheel.sha256} in the index"
            expected = "one of the hashes of this line"
            problems.append(requirements.problem(one.line, what, expected, "is it another build of it?"))
    if problems:
        raise InputError(f"{requirements.path}: the requirements have problems", problems=problems)
    return [by_name[one.name] for one in wanted]
