import re

import pytest

from ingot.report.diff.markdown import render_markdown
from tests.diff.manifests import file, manifest
from tests.report.diff.diffs import HOSTILE, big, diff


def test_hostile_names_are_inert_in_markdown():
    tests = [{"name": HOSTILE, "command": HOSTILE}]
    text = render_markdown(
        diff(manifest(), manifest(name="@all", files=[file(HOSTILE, mode="4755")], tests=tests))
    )
    outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", text, flags=re.DOTALL)
    assert "@" not in outside.replace("&#64;", "")
    assert "<b>" not in outside
    assert "</script>" not in outside
    assert "\u202e" not in text


@pytest.mark.parametrize("limit", [2000, 10_000, 65_536])
def test_markdown_keeps_its_limit_and_says_what_did_not_fit(limit):
    text = render_markdown(big(), limit)
    assert len(text) <= limit
    whole = render_markdown(big())
    assert ("did not fit here" in text) is (len(whole) > limit)
    assert text.startswith("**web abababababab → web abababababab**")


def test_markdown_without_a_limit_has_all():
    assert all(f"`/srv/{number}`" in render_markdown(big()) for number in (0, 1500, 2999))
