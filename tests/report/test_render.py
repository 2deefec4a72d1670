import re

import pytest

from ingot.diff.compare import image_diff
from ingot.escape import code, fenced, markdown, plain
from ingot.report.render import render_markdown, render_text
from tests.diff.manifests import file, manifest, package

HOSTILE = "/srv/\x1b[31m\u202eevil</script><b>@team #1 `x` | \udcff\n"


def diff(before, after):
    return image_diff(before, after, before_disk=None, after_disk=None)


def big():
    before = manifest(packages=[package(f"p{number}", "1") for number in range(300)])
    after = manifest(
        packages=[package(f"p{number}", "2") for number in range(300)],
        files=[file(f"/srv/{number}", layer=1) for number in range(3000)],
        users=[],
    )
    return diff(before, after)


def test_the_text_of_no_difference():
    assert (
        render_text(diff(manifest(), manifest()))
        == "web abababababab → web abababababab\nThe images are the same."
    )


def test_the_text_has_a_line_for_each_change():
    before = manifest(packages=[package("a", "1", 10)], files=[file("/x", "1")])
    after = manifest(packages=[package("a", "2", 12)], files=[file("/x", "12", mode="0600", layer=1)])
    text = render_text(diff(before, after))
    assert "Packages: 1 upgraded\n  ↑ a 1 → 2 (+2.0 KiB)" in text
    assert "Files: 1 changed\n  ~ /x: mode 0644 → 0600; content, 1 byte → 2 bytes" in text


def test_bookkeeping_is_counted_apart_in_text_and_markdown_alike():
    books = [file("/var/lib/dpkg/status", "2"), file("/var/lib/dpkg/info/a.list", "2")]
    before = manifest(files=[file("/var/lib/dpkg/status", "1"), file("/srv/x", "1", layer=1)])
    both = diff(before, manifest(files=[*books, file("/srv/x", "2", layer=1)]))
    assert "Files: 1 changed\n" in render_text(both)
    assert "| files | 1 changed |" in render_markdown(both)
    for text in (render_text(both), render_markdown(both)):
        assert "bookkeeping (package lists, caches, digests): 1 added, 1 changed" in text
    alone = diff(before, manifest(files=[*books, file("/srv/x", "1", layer=1)]))
    assert "Files: none but bookkeeping\n" in render_text(alone)
    assert "| files |" not in render_markdown(alone)


def test_text_keeps_to_80_columns():
    assert max(map(len, render_text(big()).splitlines())) <= 80


def test_color_is_there_when_asked_for_only():
    assert "\x1b[" in render_text(big(), color=True)
    assert "\x1b[" not in render_text(big())


def test_hostile_names_are_inert_in_text():
    text = render_text(diff(manifest(), manifest(files=[file(HOSTILE, layer=1)])))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\\x1b[31m\\u202eevil" in text


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


def test_escapes():
    assert plain("a\tb\r\x7f\u200b\udc80é") == "a\tb\\x0d\\x7f\\u200b\\x80é"
    assert code("a``b`") == "``` a``b` ```"
    assert markdown("@x <b>") == "&#64;&#8203;x &#60;b&#62;"
    assert fenced(["```", "x"]) == "````\n```\nx\n````"
