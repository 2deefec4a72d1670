"""Reading ``uv.lock``: the packages that a project needs in the image, each with the hashes of its wheels.

The format is uv's own (docs.astral.sh/uv, "Project layout", the lockfile): every package with where it comes
from, what it depends on, under which markers, and its files.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ingot.errors import Problem
from ingot.recipe.lock.requirements import PinnedRequirement, PythonTarget, Requirements

VERSION = 1
# How uv names the project itself.
_PROJECT = ("virtual", "editable", "directory")


class _UvPackage:
    """A package of the file and its line."""

    def __init__(self, fields: Mapping[str, Any], line: int) -> None:
        self.fields, self.line = fields, line
        self.name, self.version = str(fields.get("name", "")), str(fields.get("version", ""))
        source = fields.get("source")
        self.source: Mapping[str, Any] = source if isinstance(source, dict) else {}

    @property
    def is_project(self) -> bool:
        """Whether it is the project that the file is the lock of."""
        return any(self.source.get(kind) == "." for kind in _PROJECT)


class UvLock:
    """A ``uv.lock``; what is wrong with it comes to ``problems``, each with its line."""

    def __init__(self, file: Requirements, text: str, target: PythonTarget, problems: list[Problem]) -> None:
        self._file, self._text, self._target, self._problems = file, text, target, problems
        self._environment = target.environment()

    def wanted(self) -> list[PinnedRequirement]:
        """Return what the project needs in the image, without its groups for development."""
        entries = self._entries()
        projects = [entry for entry in entries if entry.is_project]
        if len(projects) == 1:
            found = self._closure(projects[0], entries)
            return [pinned for entry in found if (pinned := self._pinned(entry)) is not None]
        if not self._problems:
            what = "no project at its place" if not projects else "several projects at one place"
            self._complain(1, what, "the lock of one project: its source is virtual or editable, '.'")
        return []

    def _entries(self) -> list[_UvPackage]:
        try:
            data = tomllib.loads(self._text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            place = re.search(r"at line (\d+)", str(error))  # else at the end
            line = int(place[1]) if place else len(self._text.splitlines())
            self._complain(line, f"TOML that does not parse: {error}", "a uv.lock")
            return []
        if data.get("version") != VERSION:
            what = f"version {data.get('version')!r} of the format"
            self._complain(self._line("version"), what, f"{VERSION}, as uv writes it")
            return []
        self._check_python(data)
        packages = data.get("package", [])
        lines = [n for n, line in enumerate(self._text.splitlines(), 1) if line.strip() == "[[package]]"]
        if not isinstance(packages, list) or len(packages) != len(lines):
            self._complain(1, "packages in another form", "a uv.lock as uv writes it")
            return []
        return [_UvPackage(fields, line) for fields, line in zip(packages, lines, strict=True)]

    def _check_python(self, data: Mapping[str, Any]) -> None:
        from packaging.specifiers import InvalidSpecifier, SpecifierSet

        wanted = str(data.get("requires-python", ""))
        try:
            fits = SpecifierSet(wanted).contains(f"{self._target.python}.99", prereleases=True)
        except InvalidSpecifier:
            fits = False
        if not fits:
            what = f"requires-python {wanted!r}, but the image has Python {self._target.python}"
            hint = "widen requires-python in pyproject.toml and run: uv lock"
            self._complain(self._line("requires-python"), what, "one that the image's Python fits", hint)

    def _closure(self, project: _UvPackage, entries: Sequence[_UvPackage]) -> list[_UvPackage]:
        """Return the packages that the project needs, in the order of the file."""
        found: set[int] = set()
        seen: set[tuple[int, str]] = set()
        left: list[tuple[_UvPackage, str]] = [(project, "")]
        while left:
            entry, extra = left.pop()
            if (id(entry), extra) in seen:
                continue
            seen.add((id(entry), extra))
            found.add(id(entry))
            for dependency in _dependencies(entry, extra):
                if not self._applies(entry, dependency.get("marker")):
                    continue
                other = self._entry_of(entry, dependency, entries)
                if other is not None:
                    left += [(other, ""), *((other, str(name)) for name in dependency.get("extra", []))]
        return [entry for entry in entries if id(entry) in found and entry is not project]

    def _entry_of(
        self, entry: _UvPackage, dependency: Mapping[str, Any], entries: Sequence[_UvPackage]
    ) -> _UvPackage | None:
        """Return the package that a dependency is; where there are several, the one for this platform."""
        name, version = dependency.get("name"), dependency.get("version")
        found = [one for one in entries if one.name == name and version in (None, one.version)]
        if len(found) > 1:
            found = [
                one
                for one in found
                if any(self._applies(one, marker) for marker in one.fields.get("resolution-markers", []))
            ]
        if len(found) == 1:
            return found[0]
        what = f"{entry.name} needs {name}, of which there is " + ("none" if not found else "more than one")
        self._complain(entry.line, what, "one package of that name for the image", "run: uv lock")
        return None

    def _applies(self, entry: _UvPackage, marker: object) -> bool:
        from packaging.markers import InvalidMarker, Marker, UndefinedEnvironmentName

        if marker is None:
            return True
        try:
            return Marker(str(marker)).evaluate(self._environment)
        except (InvalidMarker, UndefinedEnvironmentName) as error:
            what = f"the marker {str(marker)[:60]!r}: {str(error).splitlines()[0]}"
            self._complain(entry.line, what, "one of the environment markers")
            return False

    def _pinned(self, entry: _UvPackage) -> PinnedRequirement | None:
        from packaging.utils import canonicalize_name

        if "registry" not in entry.source:
            kind, place = next(iter(entry.source.items()), ("nowhere", ""))
            what = f"{entry.name} from {kind} {place}".rstrip()
            hint = "build its wheel, and name the directory that has it in PIP_FIND_LINKS"
            self._complain(entry.line, what, "a package of an index", hint)
            return None
        wheels = [wheel for wheel in entry.fields.get("wheels", []) if isinstance(wheel, dict)]
        if not wheels:
            what = f"{entry.name} {entry.version} has no wheel, only a source distribution"
            self._complain(entry.line, what, "a wheel", "choose another version, or build the wheel yourself")
            return None
        hashes = [str(wheel.get("hash", "")) for wheel in wheels]
        digests = frozenset(one.removeprefix("sha256:") for one in hashes if one.startswith("sha256:"))
        if not digests:
            self._complain(
                entry.line, f"{entry.name} {entry.version} without a SHA-256", "one for each wheel"
            )
            return None
        return PinnedRequirement(canonicalize_name(entry.name), entry.version, digests, entry.line)

    def _line(self, key: str) -> int:
        lines = enumerate(self._text.splitlines(), 1)
        return next((number for number, line in lines if line.startswith(f"{key} =")), 1)

    def _complain(self, line: int, found: str, expected: str, hint: str | None = None) -> None:
        self._problems.append(self._file.problem(line, found, expected, hint))


def _dependencies(entry: _UvPackage, extra: str) -> Iterator[Mapping[str, Any]]:
    """Yield what a package needs, or one of its extras."""
    named = entry.fields.get("dependencies", [])
    if extra:
        named = entry.fields.get("optional-dependencies", {}).get(extra, [])
    yield from (one for one in named if isinstance(one, dict))
