import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from ingot.bake.runtime.rights import how_to_inspect
from ingot.errors import BakeError, InputError, SizeError
from ingot.recipe.compile import compile_spec
from ingot.recipe.load import load_recipe
from ingot.store import Store
from ingot.store import store as module
from ingot.store.gc import Bounds, collect, usage
from tests.baked import WEB
from tests.diff.manifests import manifest as whole_manifest


@pytest.fixture
def recipe():
    return load_recipe(WEB)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def bakes(monkeypatch):
    """Replaces engine and fetching by ones that write a disk of 4 bytes; holds the specs that were baked."""
    done = []

    def bake(job, **_):
        output, spec = job.directories.output, job.spec
        done.append(spec)
        (output / "disk.raw").write_bytes(b"disk")
        disk = {"size": 4, "block_size": 524288, "root_digest": "d", "blocks": ["b"]}
        files = [p.sha256 for p in spec.packages]
        manifest = whole_manifest(
            name=spec.name, recipe_digest=spec.recipe_digest, package_files=files, disk=disk
        )
        (output / "manifest.json").write_text(json.dumps(manifest))
        return manifest

    monkeypatch.setattr(module, "bake", bake)
    monkeypatch.setattr("ingot.bake.packages.fetch.fetch_packages", lambda *_: [])
    monkeypatch.setattr(module, "unsound_packages", lambda *_: [])
    return done


def quiet(_):
    pass


def test_an_image_is_baked_once(store, recipe, bakes):
    image = store.bake(recipe, quiet)
    assert store.bake(recipe, quiet) == image == store.image(image.digest)
    assert len(bakes) == 1
    assert image.disk.read_bytes() == b"disk"
    assert (image.name, image.root_digest) == ("web", "d")


def test_force_bakes_again_and_leaves_one_image(store, recipe, bakes):
    store.bake(recipe, quiet)
    store.bake(recipe, quiet, force=True)
    assert len(bakes) == 2
    assert len(store.all_images()) == 1
    assert [path.suffix for path in store.work.iterdir()] == [".lock"]


def test_a_file_that_is_saved_meanwhile_is_in_the_digest_or_not_in_the_image(store, bakes, tmp_path):
    shutil.copytree(WEB, tmp_path / "web")
    source = tmp_path / "web" / "app" / "wsgi.py"
    recipe = load_recipe(tmp_path / "web")
    opened = []

    def save(event, arguments):
        if event == "open" and opened is not None and str(arguments[0]) == str(source):
            opened.append(source)
            if len(opened) == 2:  # whoever reads it again gets another content
                source.write_text("# saved\n")

    sys.addaudithook(save)
    image = store.bake(recipe, quiet)
    assert opened
    assert image.digest == bakes[0].recipe_digest
    opened = None  # a hook cannot be taken away


def test_two_at_a_time_bake_once(store, recipe, bakes, monkeypatch):
    began, go_on, inner = threading.Event(), threading.Event(), module.bake

    def slow(job, **more):
        began.set()
        assert go_on.wait(30)
        return inner(job, **more)

    monkeypatch.setattr(module, "bake", slow)
    results, messages = [], []
    first = threading.Thread(target=lambda: results.append(store.bake(recipe, quiet)))
    first.start()
    assert began.wait(30)

    def progress(text):
        messages.append(text)
        go_on.set()

    results.append(store.bake(recipe, progress))
    first.join(30)
    assert results[0] == results[1]
    assert (len(bakes), messages) == (1, ["waiting: another process bakes the same image"])


def test_a_failed_bake_leaves_nothing(store, recipe, bakes, monkeypatch):
    def fail(job, **_):
        (job.directories.output / "disk.raw").write_bytes(b"half")
        raise BakeError("no luck")

    monkeypatch.setattr(module, "bake", fail)
    with pytest.raises(BakeError, match="no luck"):
        store.bake(recipe, quiet)
    assert store.all_images() == []
    assert [path.suffix for path in store.work.iterdir()] == [".lock"]


def test_keep_moves_the_root_where_the_message_says(store, recipe, bakes, monkeypatch):
    def fail(job, **_):
        assert job.keep
        output = job.directories.output
        (output / "root").mkdir()
        raise BakeError("no luck", hint=f"steps run as root\n  the root directory is kept in {output}/root")

    monkeypatch.setattr(module, "bake", fail)
    with pytest.raises(BakeError) as caught:
        store.bake(recipe, quiet, keep=True)
    kept = store.root / "kept/web"
    assert kept.is_dir()
    lines = str(caught.value).splitlines()
    assert lines[1] == "  hint: steps run as root"
    assert lines[2] == f"  the root directory is kept in {kept}"
    assert lines[3].startswith("  enter it:  ")
    assert f"--root={kept}" in lines[3]
    assert lines[4].endswith(f"rm --recursive --force {kept}")
    assert len(lines) == 5


def test_the_command_that_enters_a_kept_root_works(tmp_path):
    """A root of one program, which must be static: the kernel's name for its process
    shows that it is the first one there.
    """
    if os.geteuid() != 0 or not Path("/bin/busybox").exists():
        pytest.skip("needs root and busybox-static")
    root = tmp_path / "a root"
    for name in ("bin", "proc"):
        (root / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/sh")
    enter = next(line for line in how_to_inspect(root).splitlines() if "enter it" in line).partition(":")[2]
    done = subprocess.run(
        shlex.split(enter),
        input="echo $$; read -r x < /proc/1/comm; echo $x\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "1\nsh\n", done.stderr


def test_a_failing_step_is_placed_in_the_recipe_as_it_is_found_from_here(store, recipe, bakes):
    store.bake(recipe, quiet)
    assert {step.file for step in bakes[0].steps} == {"image_recipes/web/recipe.yaml"}


def test_a_size_too_small_has_its_place_in_the_recipe(store, recipe, bakes, monkeypatch):
    def fail(job, **_):
        raise SizeError("size 1GiB, needs at least 1434MiB", hint="raise it")

    monkeypatch.setattr(module, "bake", fail)
    with pytest.raises(InputError, match=r"recipe\.yaml:\d+:\d+: size 1GiB, needs at least 1434MiB"):
        store.bake(recipe, quiet)


def test_what_a_killed_bake_left_is_removed_and_what_lives_is_not(store, recipe, bakes):
    for place in (store.work / "dead", store.layers / "dead.tmp", store.layers / "whole"):
        place.mkdir(parents=True)
        (place / "file").write_text("x")
    with module.locked(store.work / "alive.lock", waiting=lambda: None):
        (store.work / "alive").mkdir()
        store.remove_leftovers()
        assert (store.work / "alive").exists()
    assert not (store.work / "dead").exists()
    assert [path.name for path in store.layers.iterdir() if path.suffix != ".lock"] == ["whole"]


def test_halves_of_downloads_and_records_of_dead_processes_go(store):
    gone = subprocess.Popen(["true"])
    gone.wait()
    records, packages = store.root / "records" / "manifests", store.packages / "ab"
    for directory in (records, packages):
        directory.mkdir(parents=True)
    dead, alive = records / f"d.{gone.pid}.part", records / f"d.{os.getpid()}.part"
    half = packages / f".x.{os.getpid()}.part"
    for file in (dead, alive, half):
        file.touch()
    with module.locked(store.packages / "in-use.lock", waiting=pytest.fail, shared=True):
        store.remove_leftovers()
        assert half.exists()
    store.remove_leftovers()
    assert [file.exists() for file in (dead, alive, half)] == [False, True, False]


def test_an_image_is_found_by_the_beginning_of_its_digest(store, recipe, bakes):
    image = store.bake(recipe, quiet)
    assert store.find(image.digest[:8]) == image
    with pytest.raises(InputError, match="no image feed in the store"):
        store.find("feed")


def test_collection_keeps_what_was_used_last_and_its_packages(store, recipe, bakes):
    image = store.bake(recipe, quiet)
    old = store.images / ("0" * 64)
    old.mkdir()
    (old / "manifest.json").write_text(json.dumps({"name": "old", "package_files": []}))
    (old / "disk.raw").write_bytes(b"x" * 10000)
    os.utime(old, (1, 1))
    used = image.manifest["package_files"][0]
    for digest in (used, "f" * 64):
        package = store.packages / digest[:2] / f"{digest}.deb"
        package.parent.mkdir(parents=True)
        package.write_bytes(b"deb")
    removed = collect(store, Bounds(images=1, layers=0), quiet)
    assert (removed.images, removed.packages) == (("0" * 64,), 1)
    assert [i.digest for i in store.all_images()] == [image.digest]
    assert [part.count for part in usage(store)] == [1, 0, 1]


def test_a_mirror_that_is_named_wrong_is_bad_input_when_something_must_be_fetched(store, recipe, monkeypatch):
    monkeypatch.setenv("INGOT_MIRROR", "garbage")
    said = []
    with pytest.raises(InputError, match="INGOT_MIRROR is 'garbage': it has to be one URL"):
        store.fetch(compile_spec(recipe), said.append)
    assert store.fetch(replace(compile_spec(recipe), packages=()), said.append) == {}
    assert said == []


def modes(store):
    paths = [
        store.layers,
        store.images,
        store.work,
        *store.images.glob("*"),
        *store.images.glob("*/disk.raw"),
    ]
    return {f"{path.stat().st_mode & 0o777:o}" for path in paths}


def test_no_other_user_can_look_into_a_store(store, recipe, bakes):
    """A file of mode 0600 in the image is in disk.raw and in the layers."""
    image = store.bake(recipe, quiet)
    store.layers.mkdir(exist_ok=True)
    for path in (store.layers, store.images, store.work):
        path.chmod(0o755)
    image.disk.chmod(0o644)
    again = Store(store.root)
    assert again.image(image.digest) == image
    assert modes(again) <= {"600", "700"}


def test_a_new_store_is_closed_from_the_start(store, recipe, bakes):
    image = store.bake(recipe, quiet)
    assert f"{image.directory.stat().st_mode & 0o777:o}" == "700"
    assert f"{store.images.stat().st_mode & 0o777:o}" == "700"
