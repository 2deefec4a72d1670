"""Layers in a store that machines share: whole, with their owners, held against their SHA-256."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
from functools import partial

import pytest

from ingot.aws.archive.location import ArchiveLocation
from ingot.aws.archive.shared import BucketStore
from ingot.bake.layers.lower import layer_digests
from ingot.errors import IngotError
from ingot.recipe.compile import compile_spec
from ingot.recipe.load import load_recipe
from ingot.store import Store
from ingot.store.layers import pack_layer, unpack_layer
from tests.aws.archive.test_images import make_bucket
from tests.baked import WEB, baked_store

__all__ = ["baked_store"]
DIGEST, OTHER = "ab" * 32, "cd" * 32
RECORD = f"ingot/layers/{DIGEST}.json"


@pytest.fixture
def shared(clients, direct):
    """Gives the shared store, as another process opens it."""
    make_bucket(direct, "shared")
    return lambda: BucketStore(ArchiveLocation("shared", "ingot"), None, lambda: clients)


@pytest.fixture
def layer(tmp_path):
    """A small layer: a program with setuid, another name of it, a link, and a disk that is made again."""
    directory = tmp_path / "one" / DIGEST
    root = directory / "root"
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/sudo").write_text("program")
    if os.geteuid() == 0:
        os.chown(root / "usr/bin/sudo", 33, 34)
    (root / "usr/bin/sudo").chmod(0o4755)
    (root / "usr/bin/also").hardlink_to(root / "usr/bin/sudo")
    (root / "etc").symlink_to("/elsewhere")
    (directory / "tools").mkdir()
    (directory / "index").write_text("index")
    (directory / "disks" / OTHER).mkdir(parents=True)
    return directory


@pytest.fixture
def kept(shared, layer, tmp_path):
    """The layer in the shared store."""
    shared().keep_layer(DIGEST, tmp_path / "a.tar.zst", partial(pack_layer, layer), logging.info)
    return layer


def taken(store, tmp_path):
    """Take the layer as another machine does; give its directory, or None, and what was said."""
    said, archive, directory = [], tmp_path / "b.tar.zst", tmp_path / "two" / DIGEST
    if not store.fetch_layer(DIGEST, archive, said.append):
        assert not archive.exists()
        return None, said
    unpack_layer(archive, directory)
    return directory, said


def test_another_machine_has_it_with_owners_links_and_modes(kept, shared, tmp_path):
    directory, said = taken(shared(), tmp_path)
    sudo, was = (place / "root/usr/bin/sudo" for place in (directory, kept))
    assert (sudo.stat().st_mode, sudo.stat().st_uid, sudo.stat().st_gid) == (
        was.stat().st_mode, was.stat().st_uid, was.stat().st_gid,
    )  # fmt: skip
    assert sudo.stat().st_mode & 0o7777 == 0o4755
    assert (directory / "root/usr/bin/also").samefile(sudo)
    assert (directory / "root/etc").readlink().as_posix() == "/elsewhere"
    assert not (directory / "disks").exists()
    assert said == ["the layer abababababab came from s3://shared/ingot"]


def test_what_is_there_is_not_packed_again(kept, shared, tmp_path):
    def pack(_archive):
        pytest.fail("it is packed")

    shared().keep_layer(DIGEST, tmp_path / "c.tar.zst", pack, logging.info)


def test_one_that_nobody_has_is_none(shared, tmp_path):
    assert taken(shared(), tmp_path) == (None, [])


def test_a_damaged_one_is_not_taken_and_said(kept, shared, direct, tmp_path):
    record = json.loads(direct.s3.get_object(Bucket="shared", Key=RECORD)["Body"].read())
    key = f"ingot/files/{record['sha256'][:2]}/{record['sha256']}"
    direct.s3.put_object(Bucket="shared", Key=key, Body=b"something else")
    directory, said = taken(shared(), tmp_path)
    assert directory is None
    assert [text for text in said if f"s3://shared/{key} is damaged" in text]


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"[]",
        b"{}",
        json.dumps({"layer": OTHER, "sha256": OTHER}).encode(),
        b'{"layer": "x", "sha256": "../x"}',
    ],
)
def test_what_is_written_of_another_layer_is_not_believed(kept, shared, direct, tmp_path, record):
    direct.s3.put_object(Bucket="shared", Key=RECORD, Body=record)
    directory, said = taken(shared(), tmp_path)
    assert directory is None
    assert said == ["what the shared store says of the layer abababababab is damaged"]


@pytest.mark.parametrize("name", ["../out", "/etc/out"])
def test_an_archive_that_leads_out_of_the_layer_is_refused(tmp_path, name):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "file").write_text("x")
    words = ["tar", "--create", "--zstd", "--absolute-names", f"--transform=s,.*file,{name},"]
    archive = tmp_path / "hostile.tar.zst"
    subprocess.run([*words, "--file", archive, "--directory", tmp_path / "in", "file"], check=True)
    with pytest.raises(IngotError, match="it is not a layer"):
        unpack_layer(archive, tmp_path / "layers" / DIGEST)
    assert sorted(path.name for path in (tmp_path / "layers").iterdir()) == [f"{DIGEST}.lock"]


def test_a_file_that_is_no_archive_is_refused_and_leaves_nothing(tmp_path):
    (tmp_path / "x.tar.zst").write_bytes(b"no archive")
    with pytest.raises(IngotError, match="it cannot be unpacked"):
        unpack_layer(tmp_path / "x.tar.zst", tmp_path / "layers" / DIGEST)
    assert not (tmp_path / "layers" / DIGEST).exists()


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_an_app_that_changed_is_baked_on_an_empty_machine_without_a_package(baked_store, shared, tmp_path):
    """Machine one bakes the recipe, two the recipe with another app: the same bytes as on machine one."""
    recipe = tmp_path / "image_recipes" / "web"
    shutil.copytree(WEB, recipe)
    one, two = (Store(tmp_path / name, shared=shared()) for name in ("one", "two"))
    for store in (one, two):
        store.packages.mkdir(parents=True)
    shutil.rmtree(one.packages)
    one.packages.symlink_to(baked_store.packages)
    progress = logging.getLogger("bake").info
    one.bake(load_recipe(recipe), progress)
    (recipe / "app" / "new.txt").write_text("new\n")
    changed, said = load_recipe(recipe), []
    image = two.bake(changed, said.append)
    lowest = layer_digests(compile_spec(changed))[0]
    assert f"the layer {lowest[:12]} came from s3://shared/ingot" in said
    assert not [text for text in said if text.startswith(("fetching", "unpacking", "configuring"))]
    assert not list(two.packages.glob("??/*"))
    alone = Store(one.root)  # or it would take the image of machine two
    assert alone.bake(changed, progress).root_digest == image.root_digest
