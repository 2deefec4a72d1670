"""The page of results: one part for each subject, each with the day and the machine that
it was measured on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from bench.subjects import SUBJECTS

HEAD = """# Measured side by side

`make bench` measures the cases of a subject in turn, so that what the machine does meanwhile touches all of
them. Tables show the median, and in brackets the smallest and largest. `make bench ONLY=bake` measures one
subject again and leaves the other parts as they are.
"""
_MARK = re.compile(r"^<!-- subject: (\w+) -->$", re.MULTILINE)


def part(name: str, runs: int, machine: str, tables: Sequence[str]) -> str:
    """Return the part of the page that a subject's ``tables`` (Markdown) make."""
    how = f"{runs} runs of each case" if runs > 1 else "One run of each case"
    return (
        "\n".join(
            [f"<!-- subject: {name} -->", *(table.rstrip() + "\n" for table in tables), f"{how}. {machine}"]
        )
        + "\n"
    )


def parts(page: str) -> dict[str, str]:
    """Return the parts of a page by their subjects; none of a page without marks."""
    pieces = _MARK.split(page)
    return {
        name: f"<!-- subject: {name} -->{text.rstrip()}\n"
        for name, text in zip(pieces[1::2], pieces[2::2], strict=True)
        if name in SUBJECTS
    }


def page(found: Mapping[str, str]) -> str:
    """Return the page with all parts, in the order of the subjects."""
    return "\n".join([HEAD, *(found[name] for name in SUBJECTS if name in found)])
