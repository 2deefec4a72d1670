"""Manifests that this version cannot read, and reading many of them."""

import json
import tracemalloc

import pytest

from ingot.aws.publish.image import Subject
from ingot.errors import IngotError
from ingot.store import Store
from ingot.store.gc import Bounds, collect
from tests.diff.manifests import file, manifest

GOOD = {"format": 1, "name": "web", "size": {"used": 3 << 20}, "package_files": ["e" * 64]}
UNREADABLE = {
    "[]": "is damaged",
    "null": "is damaged",
    "{}": "is damaged",
    '{"format": 1, "name": "we': "is damaged",
    '"\\ud800': "is damaged",
    json.dumps({**GOOD, "size": 7}): "is damaged",
    json.dumps({**GOOD, "format": "1"}): "is damaged",
    json.dumps({**GOOD, "format": 99}): "has format 99; this Ingot reads formats up to 1",
}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def add(store, digest, text):
    directory = store.images / digest
    directory.mkdir(parents=True)
    (directory / "disk.raw").touch()
    (directory / "manifest.json").write_text(text)
    return store.image(digest)


@pytest.mark.parametrize("text", UNREADABLE)
def test_an_unreadable_manifest_is_an_error_that_names_the_image(store, text):
    image = add(store, "a" * 64, text)
    with pytest.raises(IngotError, match=UNREADABLE[text]) as caught:
        _ = image.summary
    assert "a" * 12 in str(caught.value)


@pytest.mark.parametrize("text", UNREADABLE)
def test_an_image_with_an_unreadable_manifest_is_not_published(store, text):
    image = add(store, "a" * 64, text)
    with pytest.raises(IngotError, match=UNREADABLE[text]):
        Subject.of(image)


@pytest.mark.parametrize("text", UNREADABLE)
def test_an_unreadable_manifest_keeps_no_other_image_from_being_collected(store, text):
    add(store, "a" * 64, text)
    add(store, "b" * 64, json.dumps(GOOD))
    assert set(collect(store, Bounds(images=0), lambda _: None).images) == {"a" * 64, "b" * 64}


def test_a_manifest_that_is_not_utf8_is_damaged(store):
    image = add(store, "a" * 64, "")
    (image.directory / "manifest.json").write_bytes(b'{"name": "\xff"}')
    with pytest.raises(IngotError, match="is damaged"):
        _ = image.manifest


def test_the_memory_for_many_manifests_is_that_of_one(store):
    files = [file(f"/usr/lib/file{number}") for number in range(2000)]
    text = json.dumps(manifest(files=files, package_files=GOOD["package_files"]), sort_keys=True)
    for number in range(30):
        add(store, f"{number:064x}", text)
    tracemalloc.start()
    try:
        images = store.all_images()
        names = [image.summary.name for image in images]
        assert images[0].manifest["name"] == "web"
        one = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        names = [image.summary.name for image in images]
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert names == ["web"] * 30
    assert most < 3 * one
