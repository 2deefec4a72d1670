"""The files of a recipe, expanded: one entry for every file, directory and link that the image gets.

Content, executable bit and link text count; times, owners and the umask of the machine that holds the recipe
do not.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from ingot.errors import Problem
from ingot.recipe.schema.model import Recipe
from ingot.recipe.schema.values import is_volatile
from ingot.recipe.sources.expander import Expander, ImageFile
from ingot.recipe.syntax.document import At

__all__ = ["ImageFile", "expand_files"]

# The system's own directories, which are links into /usr in every image.
_MERGED = ("/bin/", "/lib/", "/lib64/", "/sbin/")
_OWN = "/usr/lib/ingot"
_UTC = (None, "UTC", "Etc/UTC")


def expand_files(recipe: Recipe, problems: list[Problem]) -> list[ImageFile]:
    """Return all files of the recipe, sorted by target.

    Add to ``problems`` what is wrong with their sources.
    """
    expander = Expander(recipe, problems)
    found: list[ImageFile] = []
    if recipe.app is not None:
        found += expander.app(recipe.app)
    for number, entry in enumerate(recipe.files):
        found += expander.entry(entry, ("files", number))
    found.sort(key=lambda file: file.target)
    _find_clashes(recipe, found, problems)
    _find_doomed(recipe, found, problems)
    return found


def _find_clashes(recipe: Recipe, files: list[ImageFile], problems: list[Problem]) -> None:
    """Two entries for one target, or an entry below a target that is not a directory."""
    by_target: dict[str, ImageFile] = {}
    for file in sorted(files, key=lambda file: _place(recipe, file.at)):
        if file.target in by_target:
            at = (*file.at, "target")
            first = recipe.document.place(by_target[file.target].at).seen_from(recipe.document.place(at).file)
            problems.append(recipe.problem(at, f"{file.target} again", f"it once: {first} sets it already"))
        else:
            by_target[file.target] = file
    for file in by_target.values():
        for parent in _parents(file.target):
            above = by_target.get(parent)
            if above is not None and above.kind not in ("directory", "taken"):
                at = (*file.at, "target")
                problems.append(
                    recipe.problem(
                        at, f"{file.target} below {parent}, a {above.kind}", "a directory above it"
                    )
                )
                break
    _check_hard_links(recipe, by_target, problems)


def _place(recipe: Recipe, at: At) -> tuple[bool, str, int, int]:
    """Return what sorts places in the order that they are read in: what is included comes first."""
    place = recipe.document.place(at)
    return place.file == recipe.document.path, str(place.file), place.line, place.column


def _parents(target: str) -> Iterator[str]:
    while (target := posixpath.dirname(target)) != "/":
        yield target


def _check_hard_links(recipe: Recipe, by_target: dict[str, ImageFile], problems: list[Problem]) -> None:
    """A hard link to itself, or to what the recipe makes no file."""
    for file in by_target.values():
        if file.kind != "hardlink" or file.link is None:
            continue
        other = by_target.get(file.link)
        if other is not None and other.kind not in ("file", "taken"):
            what = "itself" if other is file else f"{file.link}, a {other.kind}"
            problems.append(
                recipe.problem((*file.at, "hardlink"), f"a hard link to {what}", "the path of a file")
            )


def _find_doomed(recipe: Recipe, files: list[ImageFile], problems: list[Problem]) -> None:
    """Add a problem for each file that would be overwritten or hidden, at the target that leads there."""
    written = dict(_written(recipe))
    for file in files:
        path = f"/usr{file.target}" if file.target.startswith(_MERGED) else file.target
        hint = written.get(path)
        if path.startswith(f"{_OWN}/") or (path == _OWN and file.kind != "directory"):
            hint = "Ingot's own programs are there"
        # An entry's own target of this kind is refused as a value.
        if hint is None and is_volatile(path):
            hint = "it is recreated at every boot; a file of tmpfiles.d(5) can create it then"
        if hint is not None:
            found = f"{file.target}, where no file of a recipe lasts"
            problems.append(recipe.problem((*file.at, "target"), found, "another target", hint))


def _written(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Yield what is written after the recipe's files, and what to do instead."""
    yield "/etc/machine-id", "each clone makes its own"
    yield "/etc/ingot/image.json", "Ingot writes there what the image is"
    yield "/etc/hostname", "the key `hostname` sets it"
    for path in ("/etc/locale.conf", "/etc/default/locale"):
        yield path, "the key `locale` sets it"
    if recipe.timezone not in _UTC:
        for path in ("/etc/localtime", "/etc/timezone"):
            yield path, "the key `timezone` sets it"
    if recipe.base.ami is None:  # a base AMI has its own, which the recipe may replace
        unit = "/etc/systemd/system/srv-data.mount"
        yield "/etc/fstab", f"mount more by units of systemd.mount(5), such as {unit}"
