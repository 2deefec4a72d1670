"""Targets at which a recipe's file would not survive the bake: what Ingot or each clone writes itself."""

from __future__ import annotations

from collections.abc import Iterator

from ingot.errors import Problem
from ingot.recipe.schema.model import Recipe
from ingot.recipe.schema.values import is_volatile
from ingot.recipe.sources.sources import ImageFile

# The system's own directories, which are links into /usr in every image.
_MERGED = ("/bin/", "/lib/", "/lib64/", "/sbin/")
_OWN = "/usr/lib/ingot"
_UTC = (None, "UTC", "Etc/UTC")


def find_doomed(recipe: Recipe, files: list[ImageFile], problems: list[Problem]) -> None:
    """Add a problem for each of the ``files`` that would be overwritten or hidden, at the target that leads there."""
    written = dict(_written(recipe))
    for file in files:
        path = f"/usr{file.target}" if file.target.startswith(_MERGED) else file.target
        hint = written.get(path)
        if path.startswith(f"{_OWN}/") or (path == _OWN and file.kind != "directory"):
            hint = "Ingot's own programs are there"
        # An entry's own target of this kind is refused as a value.
        if hint is None and is_volatile(path):
            hint = "it is made anew at each boot; a file of tmpfiles.d(5) can have it made"
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
