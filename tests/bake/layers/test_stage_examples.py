"""The examples whose programs are built in stages: their locks, and what is built of C and of TypeScript."""

import json
import logging
import os
import shutil

import pytest

from ingot.bake.disk import read_ext4
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


# In the tree of the image, whose Node.js it is: the server answers a request.
ASK = (
    'await import("/srv/web/server.js"); const answer = await fetch("http://127.0.0.1:8080/"); '
    "process.stdout.write(await answer.text()); process.exit(0)"
)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_a_server_in_typescript_is_built_answers_and_its_compiler_stays_out(baked_store, tmp_path):
    place = tmp_path / "image_recipes" / "typescript"
    shutil.copytree(EXAMPLES / "typescript", place)
    step = f"node --input-type=module --eval '{ASK}' > /usr/share/answer"
    with (place / "recipe.yaml").open("a") as file:
        file.write(f"\nsteps:\n  - {json.dumps(step)}\n")
    image = baked_store.bake(load_recipe(place), logging.getLogger("bake").info)
    with read_ext4(image.disk) as disk:
        assert disk.read("/usr/share/answer") == b"Hello from TypeScript on Ingot\n"
    files = {file["path"] for file in image.manifest["files"]}
    assert {path for path in files if path.startswith("/srv/web/")} == {"/srv/web/server.js"}
    assert not [path for path in files if "/node_modules/" in path or path.endswith("/tsc")]
    assert "web.service" in image.manifest["services"]["enabled"]
