"""The Java and the Go example: built in stages, without a toolchain in the image."""

import logging
import os

import pytest

from ingot.recipe.compile import compile_spec
from ingot.recipe.load import load_recipe
from tests import ROOT

JAVA = ROOT / "examples" / "java" / "image_recipes" / "java"
GO = ROOT / "examples" / "stages" / "image_recipes" / "go"


def test_the_jdk_is_in_the_stage_alone():
    spec = compile_spec(load_recipe(JAVA))
    [stage] = spec.stages
    jdk, jre = "openjdk-17-jdk-headless", "openjdk-17-jre-headless"
    assert {jdk, jre} <= {package.name for package in stage.packages}
    names = {package.name for package in spec.packages}
    assert jre in names
    assert jdk not in names


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
@pytest.mark.parametrize(
    ("recipe", "program", "compiler"),
    [(JAVA, "/srv/web/web.jar", "/usr/bin/javac"), (GO, "/usr/local/bin/web", "/usr/bin/go")],
    ids=["java", "go"],
)
def test_a_program_is_built_and_its_compiler_stays_out(baked_store, recipe, program, compiler):
    image = baked_store.bake(load_recipe(recipe), logging.getLogger("bake").info)
    files = {file["path"]: file for file in image.manifest["files"]}
    assert files[program]["size"] > 1000
    assert compiler not in files
    assert "web.service" in image.manifest["services"]["enabled"]
