"""The Java and the Go example: built in stages, without a toolchain in the image; booted, they answer."""

import logging
import os
import subprocess
import sys

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
def test_a_program_is_built_its_compiler_stays_out_and_booted_it_answers_over_http(
    baked_store, tmp_path, recipe, program, compiler
):
    image = baked_store.bake(load_recipe(recipe), logging.getLogger("bake").info)
    files = {file["path"]: file for file in image.manifest["files"]}
    assert files[program]["size"] > 1000
    assert compiler not in files
    assert "web.service" in image.manifest["services"]["enabled"]
    (tmp_path / "store").symlink_to(baked_store.root)
    command = [sys.executable, "-m", "ingot.cli.main", "boot", recipe.name, "--recipes", recipe.parent]
    environment = {**os.environ, "INGOT_HOME": str(tmp_path)}
    booted = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert booted.returncode == 0, booted.stderr
    for test in load_recipe(recipe).tests:
        assert test.http is not None
        assert f"ok      {test.name} (from outside)" in booted.stdout
