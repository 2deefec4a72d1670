"""Another team's CDK app, with Ingot installed from its wheel: nothing of this repository is in reach."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ingot.recipe.digest import recipe_digest
from ingot.recipe.load import load_recipe
from tests import ROOT
from tests.repository.distributions import build, environment, outside

EXAMPLE = ROOT / "examples" / "two-fleets"
pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, capture_output=True, text=True, env=outside(**environment)
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The example with a virtual environment of its own.

    Ingot is installed from its wheels; its dependencies come from this environment.
    """
    wheels = build(tmp_path_factory.mktemp("wheels"))
    project = tmp_path_factory.mktemp("team") / "two-fleets"
    shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns("cdk.out", ".venv"))
    environment(project / ".venv", wheels["ingot"], wheels["ingot-machines"])
    return project


@pytest.fixture(scope="module")
def assembly(project):
    """What `cdk synth` writes."""
    programs = (project / ".venv" / "bin", Path(sys.executable).parent, ROOT / "node_modules" / ".bin")
    path = ":".join([*map(str, programs), os.environ["PATH"]])
    run("cdk", "synth", "--quiet", cwd=project, PATH=path, CDK_DISABLE_CLI_TELEMETRY="1")
    return project / "cdk.out"


def test_it_is_the_installed_package_that_the_app_uses(project):
    found = run(project / ".venv/bin/python", "-c", "import ingot; print(ingot.__file__)", cwd=project)
    assert found.stdout.startswith(str(project))


def test_the_commands_know_the_recipes(project):
    python = project / ".venv" / "bin" / "python"
    assert run(python, "-m", "ingot.cli.main", "check", cwd=project).stdout == "api: ok\nsite: ok\n"
    digest = run(python, "-m", "ingot.cli.main", "digest", "api", cwd=project).stdout.strip()
    assert digest == recipe_digest(load_recipe(EXAMPLE / "image_recipes" / "api"))


def test_two_recipes_make_two_fleets_over_one_builder(assembly):
    artifacts = json.loads((assembly / "manifest.json").read_text())["artifacts"]
    stacks = {name: value for name, value in artifacts.items() if value["type"] == "aws:cloudformation:stack"}
    assert set(stacks) == {"Images", "Site", "Api"}
    assert all("Images" in stacks[name]["dependencies"] for name in ("Site", "Api"))
    for stack, recipe in (("Site", "site"), ("Api", "api")):
        template = json.loads((assembly / f"{stack}.template.json").read_text())
        digest = recipe_digest(load_recipe(EXAMPLE / "image_recipes" / recipe))
        assert template["Outputs"]["RecipeDigest"]["Value"] == digest
        [machines] = [r for r in template["Resources"].values() if r["Type"] == "AWS::EC2::LaunchTemplate"]
        image = machines["Properties"]["LaunchTemplateData"]["ImageId"]
        assert image == f"{{{{resolve:ssm:/ingot/{recipe}/{digest}}}}}"
    outputs = json.loads((assembly / "Images.template.json").read_text())["Outputs"]
    assert {"TestLaunchTemplateId", "SubnetIds"} <= set(outputs)


def test_the_fleets_are_as_the_app_says(assembly):
    site, api = (
        json.loads((assembly / f"{name}.template.json").read_text())["Resources"] for name in ("Site", "Api")
    )

    def scheme(resources):
        [balancer] = [r for r in resources.values() if r["Type"].endswith("V2::LoadBalancer")]
        return balancer["Properties"]["Scheme"]

    assert (scheme(site), scheme(api)) == ("internet-facing", "internal")
    [policy] = [r for r in api.values() if r["Type"] == "AWS::AutoScaling::ScalingPolicy"]
    assert policy["Properties"]["TargetTrackingConfiguration"]["TargetValue"] == 3000


def test_each_image_is_published_by_the_environments_own_python(assembly):
    for stack, recipe in (("Site", "site"), ("Api", "api")):
        files = json.loads((assembly / f"{stack}.assets.json").read_text())["files"].values()
        [command] = [file["source"]["executable"] for file in files if "executable" in file["source"]]
        assert command[:5] == [".venv/bin/python3", "-m", "ingot.cli.main", "publish", recipe]
        assert command[5:7] == ["--builder-stack", "Images"]


def test_a_mistake_in_a_recipe_ends_the_synthesis_with_its_place(project):
    recipe = project / "image_recipes" / "api" / "recipe.yaml"
    before = recipe.read_text()
    recipe.write_text(before.replace("packages:", "package:"))
    try:
        done = subprocess.run(
            [project / ".venv/bin/python", "app.py"], cwd=project, capture_output=True, text=True
        )
    finally:
        recipe.write_text(before)
    assert done.returncode == 2
    assert done.stderr.startswith("image_recipes/api/recipe.yaml:6:1: unknown key 'package'")
