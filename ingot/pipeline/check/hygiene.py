"""What the hygiene gate will find in a recipe's own files, said before a bake.

The gate looks at the finished disk; these are its own functions, on the files as the recipe has them.
"""

from __future__ import annotations

from collections.abc import Iterator

from ingot.bake.hygiene import contents, identity
from ingot.bake.hygiene.gate import allows
from ingot.bake.hygiene.view import lines_of
from ingot.errors import Problem
from ingot.files import read_limited
from ingot.recipe.compile import spec_of
from ingot.recipe.schema.model import Recipe
from ingot.recipe.sources.expander import ImageFile
from ingot.recipe.sources.files import expand_files
from ingot.spec import AllowanceSpec


def hygiene_problems(recipe: Recipe) -> list[Problem]:
    """Return a problem for each key or credential in a file of the recipe that no allowance lets pass."""
    allowances = [spec_of(AllowanceSpec, one) for one in recipe.hygiene.allow]
    return [
        problem
        for file in expand_files(recipe, [])
        if file.kind == "file" and (file.size or 0) <= contents.LARGEST
        for problem in _of_file(recipe, file, allowances)
    ]


def _of_file(recipe: Recipe, file: ImageFile, allowances: list[AllowanceSpec]) -> Iterator[Problem]:
    data = _content(recipe, file)
    if not contents.is_text(data):
        return
    for finding in (
        *contents.search(file.target, data),
        *identity.authorized_keys(file.target, lines_of(data)),
    ):
        if any(allows(allowance, finding) for allowance in allowances):
            continue
        allow = f"{{finding: {finding.name}, path: {finding.path}, reason: …}}"
        key = "source" if file.content is None else "content"
        yield recipe.problem(
            (*file.at, key),
            f"{file.source or file.target}: {finding.reason}",
            "",
            f"leave it out, or write under hygiene.allow: {allow}",
        )


def _content(recipe: Recipe, file: ImageFile) -> bytes:
    if file.content is not None:
        return file.content.encode()
    try:
        return read_limited(recipe.source_root / str(file.source), contents.LARGEST)
    except OSError:  # it went away, or grew, since it was expanded: the bake says so
        return b""
