"""Mutated recipes, locks, environments and manifests: never a traceback, always a place, within bounds.

``make test`` tries a fixed set of them; ``make fuzz`` tries 10,000 new ones, or ``INGOT_FUZZ`` of them. What
it finds becomes an ``@example`` here, with its repair.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from ingot.errors import InputError
from stacks.settings.environments import read_environments
from tests.fuzz import seeds
from tests.fuzz.calls import bounded, examine, ingot, require_bounded, require_places
from tests.fuzz.mutations import mutated_json, mutated_yaml

# How many inputs `make fuzz` tries; a fixed set without it. Shares: what is read most often gets most.
ASKED = int(os.environ.get("INGOT_FUZZ", "0"))
TOTAL = ASKED or 200


def share(part: float):
    """Return the settings of a test that gets this part of all inputs."""
    return settings(
        max_examples=max(1, round(TOTAL * part)),
        derandomize=not ASKED,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        # Without the one that explains: it traces each line, which takes longer than an input may.
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        report_multiple_bugs=bool(ASKED),
    )


@pytest.fixture(scope="module")
def top(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module", autouse=True)
def project(top):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INGOT_HOME", str(top / "home"))
        seeds.fill(top / "project")
        seeds.fill_store(top / "home")
        patch.chdir(top / "project")
        # What the tests before have left would be looked at before each input: bounded() collects garbage.
        gc.collect()
        gc.freeze()
        yield


def written(path, content):
    path.write_bytes(content)
    return path


RECIPES = {"all": [seeds.RECIPE], "common": [seeds.COMMON], "on-ami": [seeds.AMI_RECIPE]}
RECIPES["all"] += [
    (seeds.TOP / f"image_recipes/{name}/recipe.yaml").read_text() for name in ("web", "builder")
]
RECIPES["all"] += [
    path.read_text() for path in sorted(seeds.TOP.glob("examples/*/image_recipes/*/recipe.yaml"))
]


@share(0.4)
@given(
    st.sampled_from([(name, seed) for name in RECIPES for seed in RECIPES[name]]).flatmap(
        lambda pair: st.tuples(st.just(pair[0]), mutated_yaml(pair[1]))
    )
)
@example(("all", b"null"))
@example(("common", b"~"))
@example(("all", b"? 0x" + b"1" * 6000))
@example(("all", b'{"name": "all", "groups": "\\n"}'))
@example(("common", b'{"name": "common", "packages": ["apache2"], "environments": {"a\\nb": {"who": "x"}}}'))
def test_recipes(top, recipe):
    name, content = recipe
    path = top / "project" / "image_recipes" / name / "recipe.yaml"
    before = path.read_bytes()
    try:
        written(path, content)
        examine(ingot("check", "all" if name == "common" else name))
    finally:
        path.write_bytes(before)


LOCKS = {"all": json.dumps(seeds.lock(), indent=1), "on-ami": json.dumps(seeds.AMI_LOCK, indent=1)}


@share(0.2)
@given(
    st.sampled_from(sorted(LOCKS)).flatmap(lambda name: st.tuples(st.just(name), mutated_json(LOCKS[name])))
)
@example(("on-ami", json.dumps(seeds.AMI_LOCK | {"ami": {"us-east-1": seeds.AMI | {"a\nb": 1}}}).encode()))
def test_locks(top, lock):
    name, content = lock
    path = top / "project" / "image_recipes" / name / "recipe.lock"
    try:
        written(path, content)
        examine(ingot("check", name))
        examine(ingot("digest", name))
    finally:
        path.write_text(LOCKS[name])


ONE, OTHER = seeds.DIGESTS
ENVIRONMENTS = (seeds.TOP / "environments.yaml").read_text()


@share(0.15)
@given(mutated_yaml(ENVIRONMENTS))
def test_environments(top, content):
    path = written(top / "project" / "environments.yaml", content)
    try:
        with bounded():
            read_environments(path)
    except InputError as error:
        require_bounded(str(error))
        require_places(str(error))


READ_BY = [
    ("show", ONE, *options) for options in ((), ("--packages",), ("--sbom",), ("--tree",), ("--json",))
]
READ_BY += [
    ("diff", ONE, OTHER, "--no-changelogs"),
    ("diff", OTHER, ONE, "--json"),
    ("diff", ONE, OTHER, "--html"),
]


@share(0.25)
@given(mutated_json(json.dumps(seeds.MANIFEST)), st.sampled_from(READ_BY))
@example(json.dumps(seeds.MANIFEST | {"name": "x" * 4000}).encode(), ("show", ONE))
@example(b'"\\n0"', ("show", ONE))
@example(json.dumps(seeds.MANIFEST | {"files": []}).encode(), ("show", ONE, "--tree"))
@example(json.dumps(seeds.MANIFEST | {"boot": {}, "hygiene": {}}).encode(), ("show", ONE))
@example(json.dumps(seeds.MANIFEST | {"os": {}}).encode(), ("show", ONE, "--sbom"))
@example(
    json.dumps(seeds.MANIFEST | {"files": [seeds.file("/etc/none", layer=1)]}).encode(), ("diff", ONE, OTHER)
)
def test_manifests(top, content, command):
    written(top / "home" / "store" / "images" / ONE / "manifest.json", content)
    listed = ingot("store", "ls")
    examine(listed)
    assert listed.code == 0
    assert OTHER in listed.stdout, "a damaged image hides the others"
    # A disk that lacks a file of the manifest is no bad input, but an image that is damaged: exit code 1.
    examine(ingot(*command), good=(0, 1))


@pytest.mark.parametrize("arguments", [("check", "all"), ("check", "on-ami"), ("store", "ls")])
def test_a_process_of_its_own_says_the_same(top, arguments):
    """The calls above are the real command line, in the tests' own process."""
    path = top / "project" / "image_recipes" / "all" / "recipe.yaml"
    path.write_text(seeds.RECIPE.replace("steps:", "stpes:"))
    try:
        command = [sys.executable, "-m", "ingot.cli.main", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        here = ingot(*arguments)
        assert (done.returncode, done.stdout, done.stderr) == (here.code, here.stdout, here.stderr)
    finally:
        path.write_text(seeds.RECIPE)
