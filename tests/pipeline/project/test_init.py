"""What `ingot init` writes, and what it refuses to overwrite."""

import ast
import json
import os
import re
import subprocess

import pytest

from ingot.errors import InputError
from ingot.pipeline.app import BUILDER_STACK, FLEET_STACK, stack_name
from ingot.pipeline.project.init import EMPTY, TEMPLATES, add_recipe, start_project
from ingot.recipe.load import find_recipes, load_recipe, read_recipe
from tests import ROOT


@pytest.mark.parametrize("template", [*TEMPLATES, EMPTY])
def test_a_project_is_written_whole_and_nothing_is_left_to_fill_in(template, tmp_path):
    started = start_project(tmp_path / "my-images", template=template)
    files = {
        path.relative_to(tmp_path / "my-images")
        for path in (tmp_path / "my-images").rglob("*")
        if path.is_file()
    }
    assert files == set(started.files)
    for file in files:
        text = (tmp_path / "my-images" / file).read_text()
        assert not re.search(r"@[A-Z]+@", f"{file}{text}"), file
        if file.suffix == ".py":
            ast.parse(text)
        if file.suffix == ".json":
            json.loads(text)
        assert os.access(tmp_path / "my-images" / file, os.X_OK) is text.startswith("#!"), file


def test_its_app_names_its_stacks_to_the_commands(tmp_path):
    start_project(tmp_path / "x", template="web", recipe="web-shop")
    assert stack_name(BUILDER_STACK, tmp_path / "x") == "Images"
    assert stack_name(FLEET_STACK, tmp_path / "x") == "WebShop"


@pytest.mark.parametrize("template", TEMPLATES)
def test_its_recipe_has_no_mistakes(template, tmp_path):
    start_project(tmp_path / "my-images", template=template)
    [(name, path)] = find_recipes(tmp_path / "my-images" / "image_recipes").items()
    recipe, problems = read_recipe(path)
    assert (problems, recipe.name) == ([], name)


def test_the_cdk_cli_is_the_one_that_this_repository_is_tested_with(tmp_path):
    start_project(tmp_path / "x", template="web")
    ours = json.loads((ROOT / "package.json").read_text())["dependencies"]
    assert json.loads((tmp_path / "x" / "package.json").read_text())["dependencies"] == ours
    assert (tmp_path / "x" / ".npmrc").read_text() == (ROOT / ".npmrc").read_text()


def test_its_runner_installs_what_this_repository_installs(tmp_path):
    start_project(tmp_path / "x", template="web")
    [listed] = re.findall(
        r"^packages=\((.*?)^\)", (tmp_path / "x" / "tools" / "runner").read_text(), re.M | re.S
    )
    setup = [ROOT / "tools" / "setup", "--packages"]
    ours = subprocess.run(setup, capture_output=True, text=True, check=True).stdout
    assert listed.split() == ours.split()


def test_its_runner_refuses_what_it_does_not_know(tmp_path):
    start_project(tmp_path / "x", template="web")
    runner = [tmp_path / "x" / "tools" / "runner", "pyhton"]
    done = subprocess.run(runner, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: unknown argument 'pyhton'\n  hint: use 'python', or no argument\n"


def test_a_recipe_is_added_under_its_own_name_in_every_file(tmp_path):
    start_project(tmp_path / "x", template="web")
    started = add_recipe(tmp_path / "x", "web-shop", template="api")
    assert started.fleet == '"WebShop": "web-shop",'
    recipe = load_recipe(tmp_path / "x" / "image_recipes" / "web-shop")
    assert recipe.name == "web-shop"
    assert recipe.services.enable == ("web-shop",)
    assert "WebShop" not in (tmp_path / "x" / "app.py").read_text()


def test_a_worker_is_left_without_a_load_balancer(tmp_path):
    started = start_project(tmp_path / "x", template="worker")
    assert (started.fleet, started.worker) == ('"Worker": "worker",', '"Worker",')
    app = ast.parse((tmp_path / "x" / "app.py").read_text())
    tables = {
        node.target.id: ast.literal_eval(node.value) for node in app.body if isinstance(node, ast.AnnAssign)
    }
    assert tables == {"FLEETS": {"Worker": "worker"}, "WORKERS": ("Worker",)}
    assert add_recipe(tmp_path / "x", "jobs", template="worker").worker == '"Jobs",'
    assert add_recipe(tmp_path / "x", "shop", template="web").worker is None


def test_nothing_is_overwritten_and_nothing_is_written_beside_it(tmp_path):
    (tmp_path / "cdk.json").write_text("mine")
    with pytest.raises(InputError, match=r"cdk.json already exists; nothing was written"):
        start_project(tmp_path, template="web")
    assert [path.name for path in tmp_path.iterdir()] == ["cdk.json"]
    assert (tmp_path / "cdk.json").read_text() == "mine"


def test_a_link_that_leads_nowhere_counts_as_a_file(tmp_path):
    (tmp_path / "app.py").symlink_to("nowhere")
    with pytest.raises(InputError, match=r"app.py already exists"):
        start_project(tmp_path, template="web")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("name", ["Shop", "../shop", "shop/x", "", "1shop", "a" * 32, "shop\n"])
def test_a_name_that_is_none_is_refused(name, tmp_path):
    start_project(tmp_path / "x", template="empty")
    with pytest.raises(InputError, match="cannot be the name of a recipe"):
        add_recipe(tmp_path / "x", name, template="web")
    assert find_recipes(tmp_path / "x" / "image_recipes") == {}


def test_a_recipe_is_added_to_projects_alone(tmp_path):
    with pytest.raises(InputError, match=r"there is no cdk.json in"):
        add_recipe(tmp_path, "shop", template="web")
    assert list(tmp_path.iterdir()) == []


def test_a_template_that_is_none_is_refused(tmp_path):
    with pytest.raises(InputError, match="unknown template 'nix'") as caught:
        start_project(tmp_path / "x", template="nix")
    assert caught.value.hint == "use one of: web, api, worker, empty"
    assert not (tmp_path / "x").exists()
