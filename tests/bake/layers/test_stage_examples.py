"""The examples whose programs are built in stages: their locks, and the C program in an image."""

import logging
import os

import pytest

from ingot.recipe.compile import compile_spec
from ingot.recipe.load import load_recipe
from tests import ROOT

EXAMPLES = ROOT / "examples" / "stages" / "image_recipes"


@pytest.mark.parametrize(
    ("name", "compiler", "taken"),
    [
        ("c", "gcc", "/out/hello"),
        ("go", "golang-go", "/out/web"),
        ("typescript", "nodejs", "/out"),
    ],
)
def test_an_example_is_locked_with_its_compiler_in_the_stage_alone(name, compiler, taken):
    spec = compile_spec(load_recipe(EXAMPLES / name))
    [stage] = spec.stages
    assert compiler in {package.name for package in stage.packages}
    assert (compiler in {package.name for package in spec.packages}) == (name == "typescript")
    assert not [package for package in stage.packages if package.name.startswith(("linux-image", "systemd"))]
    assert [file.path for file in spec.files if file.kind == "taken"] == [taken]
    npm = [] if stage.node is None else [package.name for package in stage.node.packages]
    assert ("typescript" in npm) == (name == "typescript")


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_a_program_in_c_is_built_and_its_compiler_stays_out(baked_store):
    recipe = load_recipe(EXAMPLES / "c")
    image = baked_store.bake(recipe, logging.getLogger("bake").info)
    files = {file["path"]: file for file in image.manifest["files"]}
    assert files["/usr/local/bin/hello"]["mode"] == "0755"
    assert {"/usr/bin/gcc", "/src", "/out"}.isdisjoint(files)
    assert [stage["name"] for stage in image.manifest["stages"]] == ["build"]
    packages = {package["name"] for package in image.manifest["packages"]}
    assert "gcc" not in packages
    spec = compile_spec(recipe)
    assert {package.sha256 for package in spec.stages[0].packages} <= set(image.manifest["package_files"])
