"""Artifacts in real images: the layer of their own, its bytes, and what the gate and the manifest say."""

import io
import logging
import os
import tarfile
from dataclasses import replace

import pytest

from ingot.bake.engine import bake, read_manifest
from ingot.bake.job import BakeDirectories, BakeJob
from ingot.bake.layers.additions import addition_digest
from ingot.bake.layers.lower import layer_digest
from ingot.bake.packages.cache import download_file
from ingot.errors import BakeError
from ingot.spec import FileSpec
from ingot.store.sbom import sbom
from tests.baked import WEB
from tests.specs import step

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="mounts")]
PROGRAM = b"#!/bin/sh\nexec echo it runs\n"


def archive():
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as file:
        info = tarfile.TarInfo("tool-1/bin/tool")
        info.size, info.mode, info.mtime = len(PROGRAM), 0o755, 7
        file.addfile(info, io.BytesIO(PROGRAM))
    return packed.getvalue()


@pytest.fixture
def spec(web_spec, artifact):
    """The web recipe with two artifacts, one of them for the recipe's own user."""
    tool = artifact(archive(), unpack="tar", strip=1)
    secret = artifact(b"settings", url="https://example.com/b", target="/srv/b", mode="0640", owner="app")
    return replace(web_spec, artifacts=(tool, secret))


@pytest.fixture
def baked(baked_store, web_image, tmp_path):
    """Bake a spec on the layers that are there, or on none; return where the image is."""

    def bake_spec_on(spec, name, layers=baked_store.layers):
        for file in (tmp_path / "packages").rglob("*"):
            if file.is_file():
                target = download_file(baked_store.packages, file.name)
                target.parent.mkdir(exist_ok=True)
                target.write_bytes(file.read_bytes())
        directories = BakeDirectories(WEB, baked_store.packages, layers, tmp_path / name)
        bake(BakeJob(spec, directories), progress=logging.getLogger("bake").info)
        return tmp_path / name

    return bake_spec_on


def blocks(image):
    return read_manifest(image)["disk"]["blocks"]


def test_an_image_with_artifacts(spec, baked, baked_store, tmp_path):
    run = step('test "$(/opt/tool/bin/tool)" = "it runs"')
    image = baked(replace(spec, steps=(*spec.steps, run)), "one")
    manifest = read_manifest(image)
    files = {file["path"]: file for file in manifest["files"]}
    assert (files["/opt/tool/bin/tool"]["mode"], files["/opt/tool/bin/tool"]["layer"]) == ("0755", 2)
    assert (files["/srv/b"]["mode"], files["/srv/b"]["uid"], files["/srv/b"]["gid"]) == ("0640", 990, 0)
    assert "layer" not in files["/usr/bin/perl"]
    names = [dependency["name"] for dependency in manifest["dependencies"]]
    assert names == ["https://example.com/tool.tar.gz", "https://example.com/b"]
    assert {artifact.sha256 for artifact in spec.artifacts} <= set(manifest["package_files"])
    bill = sbom(manifest)
    assert "artifact:https://example.com/tool.tar.gz" in bill
    assert "file:/opt/tool/bin/tool" not in bill
    # An app that changes above it finds the layer: a block of the file, and the few of the file system's own.
    app = FileSpec("file", "/srv/web/new", "root", "root", "0644", content="x\n")
    other = baked(replace(spec, steps=(*spec.steps, run), files=(*spec.files, app)), "two")
    assert sum(one != two for one, two in zip(blocks(image), blocks(other), strict=True)) <= 4
    # The same bytes from nothing, in a layer of the same name.
    (tmp_path / "elsewhere").mkdir()
    cold = baked(replace(spec, steps=(*spec.steps, run)), "cold", tmp_path / "elsewhere")
    assert read_manifest(cold)["disk"]["root_digest"] == manifest["disk"]["root_digest"]
    name = addition_digest(layer_digest(spec), spec, "artifacts")
    assert (tmp_path / "elsewhere" / name).is_dir()
    assert (baked_store.layers / name).is_dir()


def test_the_gate_holds_artifacts_as_it_holds_the_recipes_own_files(spec, baked, artifact):
    words = b"PRIVATE KEY-----\n"  # apart: this file is searched for keys, too
    key = b"-----BEGIN " + words + b"A" * 64 + b"\n-----END " + words
    powerful = artifact(b"#!/bin/sh\n", url="https://example.com/su", target="/usr/local/bin/su", mode="4755")
    leaked = artifact(key, url="https://example.com/key", target="/srv/web/key.pem")
    with pytest.raises(BakeError) as caught:
        baked(replace(spec, artifacts=(powerful, leaked)), "bad")
    assert "setuid /usr/local/bin/su: setuid to user 0; no installed package brought it so" in str(
        caught.value
    )
    assert "private-key /srv/web/key.pem: " in str(caught.value)


def test_an_artifact_that_is_not_there_is_named(spec, baked, artifact, baked_store, tmp_path):
    lost = artifact(b"lost", url="https://example.com/lost", target="/srv/lost")
    download_file(tmp_path / "packages", lost.sha256).unlink()
    download_file(baked_store.packages, lost.sha256).unlink(missing_ok=True)
    with pytest.raises(BakeError, match=r"the artifact https://example.com/lost is missing in"):
        baked(replace(spec, artifacts=(lost,)), "lost")
