"""No line of code, of comments or of configuration is wider than 110 columns, in any language."""

import re

import pytest

from tests import ROOT
from tests.repository.test_contents import tracked

WIDTH = 110
# Prose of a page is wrapped by hand, tables and links cannot be; data has no lines of its own.
DATA = {".deb", ".json", ".lock", ".md", ".png", ".svg"}
# What tools write.
GENERATED = {"requirements.txt", "tests/localcloud/clients/requirements.txt"}
SNAPSHOTS = "tests/stacks/snapshots/"
# Files of images: what they hold, comments too, is part of the digests. To wrap a line there would rebuild
# every image and replace every AMI, for nothing that a clone does otherwise.
OF_IMAGES = re.compile(r"ingot/bake/image/rootfs/|ingot/bake/disk/init\.sh$|(.+/)?image_recipes/[^/]+/files/")
URL = re.compile(r"https?://\S+")

FILES = {str(path.relative_to(ROOT)): path for path in tracked() if not path.is_symlink()}
CHECKED = [
    name
    for name, path in FILES.items()
    if path.suffix not in DATA
    and name not in GENERATED
    and not name.startswith(SNAPSHOTS)
    and not OF_IMAGES.match(name)
]


def too_wide(text: str) -> list[int]:
    """The numbers of the lines that are, without those that an address alone makes so."""
    return [
        number
        for number, line in enumerate(text.split("\n"), 1)
        if len(line) > WIDTH and len(URL.sub("", line)) > WIDTH // 2
    ]


def test_every_language_is_looked_at():
    kinds = {FILES[name].suffix or name for name in CHECKED}
    assert {".css", ".html", ".js", ".py", ".toml", ".yaml", ".yml", "Makefile", "tools/setup"} <= kinds
    assert len(CHECKED) > 900


@pytest.mark.parametrize(
    ("line", "wide"),
    [
        ("x" * 110, False),
        ("x" * 111, True),
        ("é" * 110, False),
        ("call()  # noqa: S310 - " + "x" * 100, True),
        ("# https://example.com/" + "x" * 100, False),
        ("x" * 80 + " https://example.com/" + "x" * 30, True),
    ],
)
def test_what_is_too_wide(line, wide):
    assert too_wide(f"{line}\n") == ([1] if wide else [])


def test_lines_are_no_wider_than_a_reader_sees_at_once():
    found = {name: too_wide(FILES[name].read_text(encoding="utf-8")) for name in CHECKED}
    assert {name: lines for name, lines in found.items() if lines} == {}
