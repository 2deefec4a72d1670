import random
import shutil
import subprocess
from itertools import pairwise

import pytest

from ingot.deb822 import compare_versions, names_in, parse_paragraph, parse_paragraphs

# From the oldest to the newest: Debian Policy 5.6.12 and deb-version(7).
ORDER = [
    "0~~",
    "0~~a",
    "0~",
    "0",
    "0-0.1",
    "0-1~bpo1",
    "0-1",
    "0-1+b1",
    "0-1.1",
    "0a",
    "0+",
    "0.1",
    "1",
    "1.0",
    "1.0a",
    "1.1",
    "1.1+b1",
    "1.9",
    "1.10",
    "2-1",
    "10",
    "1:0",
]


@pytest.mark.parametrize(("older", "newer"), list(pairwise(ORDER)))
def test_order(older, newer):
    assert compare_versions(older, newer) == -1
    assert compare_versions(newer, older) == 1
    assert compare_versions(older, older) == 0


@pytest.mark.parametrize(("one", "other"), [("1", "1-0"), ("0:1", "1"), ("1.00", "1.0"), ("1.", "1.0")])
def test_equal_though_spelled_apart(one, other):
    assert compare_versions(one, other) == 0


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="dpkg is the judge")
def test_dpkg_agrees():
    chance = random.Random(5)
    versions = [
        chance.choice("0129")
        + "".join(chance.choices("019a~+.bZ", k=chance.randint(0, 6)))
        + chance.choice(["", "-1", "-1~", "-2+b"])
        for _ in range(200)
    ]
    for one, other in zip(versions[::2], versions[1::2], strict=True):
        word = {-1: "lt", 0: "eq", 1: "gt"}[compare_versions(one, other)]
        assert subprocess.run(["dpkg", "--compare-versions", one, word, other]).returncode == 0, (
            one,
            word,
            other,
        )


STATUS = """\
Package: one
Description: a program
 that does
 .
 little
Depends: two (>= 1:2), three | four:any


Package: two
# a comment
Conffiles:
 /etc/two 0123
# another one
 /etc/more 4567
\t
VERSION:  2
"""


def test_paragraphs_end_at_blank_lines_and_values_go_on_in_indented_ones():
    one, two, version = parse_paragraphs(STATUS)
    assert one == {
        "package": "one",
        "description": "a program\nthat does\n.\nlittle",
        "depends": "two (>= 1:2), three | four:any",
    }
    assert two == {"package": "two", "conffiles": "\n/etc/two 0123\n/etc/more 4567"}
    assert version == {"version": "2"}


def test_only_the_wanted_fields_are_read():
    assert list(parse_paragraphs(STATUS, only=("Package", "Version"))) == [
        {"package": "one"},
        {"package": "two"},
        {"version": "2"},
    ]


def test_no_paragraph_has_no_fields():
    assert parse_paragraph("") == {}
    assert list(parse_paragraphs("\n\n")) == []


def test_names_in_a_relation():
    assert names_in("two (>= 1:2), three | four:any,\n five(= 1), ") == ["two", "three", "four", "five"]
