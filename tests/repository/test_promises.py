"""Each promise of the README and of the page on security names the tests that hold it."""

import re
from functools import cache

import pytest

from tests import ROOT

DOCS = ROOT / "docs"
NAMES = re.compile(r"`(test_\w+)`")


@cache
def known() -> frozenset[str]:
    """The names of all tests."""
    texts = (path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    return frozenset(
        name for text in texts for name in re.findall(r"^\s*def (test_\w+)\(", text, re.MULTILINE)
    )


def rows(page: str) -> list[list[str]]:
    """The cells of all rows of the tables of a page that have one on tests."""
    found, heads = [], False
    for line in (DOCS / page).read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if not line.startswith("|"):
            heads = False
        elif cells[-1].removesuffix(" |") == "held by":
            heads = True
        elif heads and not line.startswith("|---"):
            found.append(cells)
    return found


def plain(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("page", ["promises.md", "security.md"])
def test_tests_that_hold_a_promise_are_there(page):
    named = set(NAMES.findall((DOCS / page).read_text()))
    assert len(named) > 30
    assert sorted(named - known()) == []


@pytest.mark.parametrize(("page", "least"), [("promises.md", 20), ("security.md", 30)])
def test_each_row_of_promises_names_a_test(page, least):
    found = rows(page)
    assert len(found) >= least
    assert [cells[0] for cells in found if not NAMES.search(cells[-1])] == []


def test_the_promises_are_in_the_words_of_the_readme():
    """Who changes a promise there sees here which tests it had."""
    readme = plain((ROOT / "README.md").read_text())
    assert [cells[0] for cells in rows("promises.md") if cells[0] not in readme] == []


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("## What the stacks set", "## Containment"),
        ("**How they are proved**", "**What no test here can know"),
    ],
)
def test_each_point_of_a_list_of_promises_names_a_test(start, end):
    section = (DOCS / "security.md").read_text().partition(start)[2].partition(end)[0]
    _, *points = re.split(r"^- ", section, flags=re.MULTILINE)
    assert len(points) >= 5
    assert [point for point in points if not NAMES.search(point)] == []
