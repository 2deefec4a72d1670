"""Collection of garbage: its bounds, and what it must never touch."""

import json
import os
import threading
import time

import pytest

from ingot.errors import IngotError
from ingot.locks import locked
from ingot.store import Store
from ingot.store.gc import DAY, Bounds, collect, usage

NOW = time.time()


def quiet(_):
    pass


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def add_image(store, letter, *, days=0.0, size=100_000, packages=()):
    directory = store.images / (letter * 64)
    directory.mkdir(parents=True)
    (directory / "disk.raw").write_bytes(os.urandom(size))
    (directory / "manifest.json").write_text(json.dumps({"name": "web", "package_files": list(packages)}))
    os.utime(directory, (NOW - days * DAY,) * 2)
    return directory.name


def add_layer(store, letter, *, days=0.0, size=100_000):
    directory = store.layers / (letter * 64)
    (directory / "root").mkdir(parents=True)
    (directory / "root" / "file").write_bytes(os.urandom(size))
    os.utime(directory, (NOW - days * DAY,) * 2)
    return directory.name


def add_package(store, letter):
    file = store.packages / (letter * 2) / f"{letter * 64}.deb"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"deb")
    return file


def images(store):
    return sorted(image.digest[0] for image in store.all_images())


def layers(store):
    return sorted(path.name[0] for path in store.layers.iterdir() if path.suffix == "")


def test_no_bound_removes_nothing_that_is_whole(store):
    add_image(store, "a", days=1000)
    add_layer(store, "b", days=1000)
    removed = collect(store, Bounds(), quiet)
    assert (removed.images, removed.layers, images(store), layers(store)) == ((), 0, ["a"], ["b"])


def test_what_was_not_used_for_days_goes(store):
    for letter, days in (("a", 3), ("b", 10), ("c", 40)):
        add_image(store, letter, days=days)
        add_layer(store, letter, days=days)
    removed = collect(store, Bounds(days=7), quiet)
    assert (removed.images, removed.layers) == (("c" * 64, "b" * 64), 2)
    assert (images(store), layers(store)) == (["a"], ["a"])
    assert removed.size > 300_000


def test_a_size_is_kept_by_removing_what_was_not_used_for_longest(store):
    for letter, days in (("a", 1), ("b", 2), ("c", 3)):
        add_image(store, letter, days=days, size=1 << 20)
    add_layer(store, "d", days=2.5, size=1 << 20)
    collect(store, Bounds(size=int(2.2 * (1 << 20))), quiet)
    assert (images(store), layers(store)) == (["a", "b"], [])


def test_what_layers_share_counts_once_and_goes_with_the_last_of_them(store):
    below, above = add_layer(store, "a", days=2, size=1 << 20), add_layer(store, "b", days=1)
    shared = store.layers / below / "root" / "file"
    (store.layers / above / "root" / "shared").hardlink_to(shared)
    layers_use = next(part.size for part in usage(store) if part.part == "layers")
    assert (1 << 20) < layers_use < (2 << 20)
    assert collect(store, Bounds(layers=1), quiet).size < 1 << 20
    assert layers(store) == ["b"]
    assert (store.layers / above / "root" / "shared").stat().st_size == 1 << 20
    assert collect(store, Bounds(size=1 << 19), quiet).size > 1 << 20
    assert layers(store) == []


def test_wanted_images_stay(store):
    for letter, days in (("a", 1), ("b", 2), ("c", 3)):
        add_image(store, letter, days=days)
    collect(store, Bounds(images=2, days=0.5, wanted={"c" * 64}), quiet)
    assert images(store) == ["c"]
    collect(store, Bounds(images=0, size=0, wanted={"c" * 64}), quiet)
    assert images(store) == ["c"]


def test_an_image_that_is_used_stays(store):
    digest = add_image(store, "a")
    lines = []
    with store.using(store.image(digest)):
        collect(store, Bounds(images=0), lines.append)
        assert images(store) == ["a"]
    assert lines == ["image aaaaaaaaaaaa is in use: it stays"]
    collect(store, Bounds(images=0), quiet)
    assert images(store) == []


def test_an_image_that_was_collected_before_its_use_is_an_error_in_words(store):
    image = store.image(add_image(store, "a"))
    collect(store, Bounds(images=0), quiet)
    with pytest.raises(IngotError, match="was removed from the store a moment ago"), store.using(image):
        pass


def test_what_a_running_bake_may_use_stays(store):
    """A bake that runs since an hour: the layer that it picked, a layer of yesterday, and
    packages that it has just fetched.
    """
    add_layer(store, "a")
    add_layer(store, "b", days=1)
    package = add_package(store, "c")
    work = store.work / f"{'e' * 64}.lock"
    with (
        locked(work, waiting=pytest.fail),
        locked(store.packages / "in-use.lock", waiting=pytest.fail, shared=True),
    ):
        os.utime(work, (NOW - 3600,) * 2)
        lines = []
        collect(store, Bounds(images=0, layers=0), lines.append)
        assert layers(store) == ["a"]
        assert package.exists()
        assert "a bake is running: all packages stay" in lines
    collect(store, Bounds(images=0, layers=0), quiet)
    assert layers(store) == []
    assert not package.exists()


def test_a_layer_that_is_picked_at_this_moment_stays(store):
    digest = add_layer(store, "a", days=5)
    with locked(store.layers / f"{digest}.lock", waiting=pytest.fail):
        collect(store, Bounds(layers=0), quiet)
        assert layers(store) == ["a"]


def test_packages_of_images_that_stay_do(store):
    used, unused = add_package(store, "a"), add_package(store, "b")
    add_image(store, "c", packages=["a" * 64])
    assert collect(store, Bounds(), quiet).packages == 1
    assert used.exists()
    assert not unused.exists()


def test_a_damaged_manifest_keeps_nothing_from_being_collected(store):
    digest = add_image(store, "a")
    (store.images / digest / "manifest.json").write_text("{")
    with pytest.raises(IngotError, match="is damaged"):
        _ = store.image(digest).manifest
    assert collect(store, Bounds(images=0), quiet).images == (digest,)


def test_files_of_locks_go_with_what_they_were_for(store):
    digest = add_image(store, "a")
    with store.using(store.image(digest)), locked(store.work / f"{digest}.lock", waiting=pytest.fail):
        pass
    collect(store, Bounds(), quiet)
    assert len(list(store.work.glob("*.lock"))) == 2
    collect(store, Bounds(images=0), quiet)
    assert list(store.work.iterdir()) == []


def test_collections_at_the_same_time_do_not_meet(store):
    for letter in "abcdef":
        add_image(store, letter)
        add_layer(store, letter)
        add_package(store, letter)
    removed, failures = [], []

    def run():
        try:
            removed.append(collect(Store(store.root), Bounds(images=0, layers=0), quiet))
        except BaseException as error:  # noqa: BLE001 - shown by the assertion
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sorted(digest for one in removed for digest in one.images) == [letter * 64 for letter in "abcdef"]
    assert sum(one.layers for one in removed) == 6
