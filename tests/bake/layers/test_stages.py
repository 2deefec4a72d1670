"""Stages in real bakes: what they build, what an image takes of it, and what it cannot take.

The stages stand on the packages of the web recipe, so that their layers are there already.
"""

import hashlib
import logging
import os
from dataclasses import replace

import pytest

from ingot.bake.engine import bake, read_manifest
from ingot.bake.job import BakeDirectories, BakeJob
from ingot.bake.layers.lower import stage_layer_digest
from ingot.errors import BakeError, StepError
from ingot.spec import BakeSpec, FileSpec
from tests.baked import WEB
from tests.specs import step

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="mounts")]


def stage(spec, *steps, name="build", files=()):
    """A stage on the packages of ``spec``."""
    digest = hashlib.sha256(repr((steps, files)).encode()).hexdigest()
    kept = ("packages", "system", "epoch", "drop", "locale", "debconf", "architecture", "distribution")
    return BakeSpec(
        **{key: getattr(spec, key) for key in kept},
        name=name,
        recipe_digest=digest,
        version=digest[:12],
        root_volume_size=1 << 30,
        files=files,
        steps=tuple(step(run, line=number) for number, run in enumerate(steps, 7)),
    )


def taken(path, target, *, name="build", **fields):
    known = {"owner": "root", "group": "root", "place": "recipe.yaml:9:3", **fields}
    return FileSpec("taken", target, stage=name, path=path, **known)


@pytest.fixture
def baked(baked_store, web_image, web_spec, tmp_path):
    """Bake the web recipe with stages; return its manifest and what was said."""

    def bake_with(stages, files, *steps):
        said = []

        def progress(text):
            said.append(text)
            logging.getLogger("bake").info(text)

        runs = (*web_spec.steps, *(step(run) for run in steps))
        spec = replace(web_spec, stages=stages, files=(*web_spec.files, *files), steps=runs)
        output = tmp_path / f"out-{len(list(tmp_path.iterdir()))}"
        directories = BakeDirectories(WEB, baked_store.packages, baked_store.layers, output)
        bake(BakeJob(spec, directories), progress=progress)
        return read_manifest(output), said

    return bake_with


def test_an_image_takes_what_a_stage_built_and_nothing_else(baked, baked_store, web_spec):
    source = FileSpec("file", "/src/tool", "root", "root", "0644", content="#!/bin/sh\necho built\n")
    build = stage(
        web_spec,
        "mkdir -p /out/lib /out/empty && cp /src/tool /out/lib && chmod 4711 /out/lib/tool",
        "ln -s lib/tool /out/tool && echo text > /out/text && chown 33:33 /out/text",
        "! ls /sys/class/net/eth0 2>/dev/null",
        files=(source,),
    )
    files = [taken("/out", "/opt/tool", owner="app"), taken("/out/text", "/etc/text", mode="0600")]
    manifest, said = baked((build,), files, 'test "$(/opt/tool/tool)" = built')
    found = {file["path"]: file for file in manifest["files"]}
    assert (found["/opt/tool/lib/tool"]["mode"], found["/opt/tool/lib/tool"]["uid"]) == ("0755", 990)
    assert found["/opt/tool/tool"]["link"] == "lib/tool"
    assert found["/opt/tool/empty"]["type"] == "directory"
    assert (found["/etc/text"]["mode"], found["/etc/text"]["uid"]) == ("0600", 0)
    assert {"/src", "/out"}.isdisjoint(found)
    assert manifest["stages"] == [{"name": "build", "digest": build.recipe_digest}]
    assert (baked_store.layers / stage_layer_digest(build)).is_dir()
    assert "stage build: step 1 of 3: mkdir -p /out/lib" in " ".join(said)
    # Found by its digest, whatever it is called, and another recipe's.
    again = replace(build, name="other")
    files = [taken("/out/text", "/etc/text", name="other")]
    _, said = baked((again,), files)
    assert not [text for text in said if text.startswith("stage ")]


def test_a_stage_takes_from_another(baked, web_spec):
    first = stage(web_spec, "mkdir /out && echo first > /out/a", name="first")
    second = stage(
        web_spec,
        "tr a-z A-Z < /in/a > /made",
        name="second",
        files=(taken("/out", "/in", name="first"),),
    )
    manifest, _ = baked((second, first), [taken("/made", "/etc/made", name="second")])
    found = {file["path"]: file["sha256"] for file in manifest["files"] if file["type"] == "file"}
    assert found["/etc/made"] == hashlib.sha256(b"FIRST\n").hexdigest()


def test_nothing_leads_out_of_a_stage(baked, web_spec):
    build = stage(
        web_spec,
        "echo of the stage > /etc/motd && mkdir /out && cd /out",
        "ln -s /etc/motd /out/link && ln -s ../../../../.. /out/up && ln -s /proc/1/root /out/process",
    )
    files = [
        taken("/out/link", "/etc/direct"),
        taken("/out/up/etc/motd", "/etc/up"),
        taken("/out", "/opt/links"),
    ]
    manifest, _ = baked((build,), files, 'test "$(readlink /opt/links/link)" = /etc/motd', "rm -r /opt/links")
    found = {file["path"]: file.get("sha256") for file in manifest["files"]}
    of_the_stage = hashlib.sha256(b"of the stage\n").hexdigest()
    assert found["/etc/direct"] == found["/etc/up"] == of_the_stage
    # What is mounted in the stage's root, or would be this machine's, is not there.
    for path in ("/out/process/etc/motd", "/dev/null", "/proc/version"):
        with pytest.raises(BakeError, match="the stage build has no"):
            baked((build,), [taken(path, "/etc/out")])


@pytest.mark.parametrize(
    ("path", "fields", "said", "hint"),
    [
        ("/out/tol", {}, "recipe.yaml:9:3: the stage build has no /out/tol", "/out has lost, pipe, tool"),
        ("/nowhere/x", {}, "recipe.yaml:9:3: the stage build has no /nowhere/x", "/ has bin, "),
        ("/out/lost", {}, "the stage build has no /out/lost", "/out/lost is a link that leads to nothing"),
        ("/out", {"mode": "0600"}, "recipe.yaml:9:3: mode for /out, a directory", None),
        ("/out", {}, "recipe.yaml:9:3: /opt/x/pipe is neither file, directory nor link", None),
    ],
    ids=["a name that is not there", "a directory that is not there", "a broken link", "a mode", "a pipe"],
)
def test_what_cannot_be_taken_is_named_with_its_place(baked, web_spec, path, fields, said, hint):
    build = stage(web_spec, "mkdir /out && touch /out/tool && ln -s gone /out/lost && mkfifo /out/pipe")
    with pytest.raises(BakeError) as caught:
        baked((build,), [taken(path, "/opt/x", **fields)])
    assert said in caught.value.message
    if hint is None:
        assert caught.value.hint is None
    else:
        assert hint in caught.value.hint


def test_a_step_that_fails_in_a_stage_is_named_and_leaves_no_layer(baked, baked_store, web_spec):
    build = stage(web_spec, "echo before", "echo no rule to make it; exit 3")
    with pytest.raises(StepError) as caught:
        baked((build,), [taken("/out", "/opt/x")])
    assert "recipe.yaml:8: the step `echo no rule to make it; exit 3` failed" in caught.value.message
    assert not list(baked_store.layers.glob(f"{stage_layer_digest(build)}*/root"))
