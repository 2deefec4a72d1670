"""The pipeline in docs/aws.md: what it synthesizes, and the recorded command where CodeBuild runs it."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from aws_cdk import App, Stack, Stage
from aws_cdk.assertions import Template

from ingot.constructs import GoldenImage
from tests import ROOT
from tests.cli.test_deploy import publish_image
from tests.constructs.recipes import write_recipe


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with a recipe and a virtual environment of its own."""
    write_recipe(tmp_path)
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parent.parent)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv" / "bin" / "python"))
    return tmp_path


def synthesized(project):
    """Run the code of the docs; return its stack's template and the stage's directory."""
    text = (ROOT / "docs" / "aws.md").read_text()
    [code] = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    app = App(analytics_reporting=False, outdir=str(project / "cdk.out"))
    stack = Stack(app, "Pipelines")
    stage = Stage(app, "Prod")
    image = GoldenImage(Stack(stage, "Fleet"), "Image", recipe="web")
    names = {"stack": stack, "stage": stage, "publishing": []}
    exec(code, names)
    assembly = app.synth()
    return Template.from_stack(stack).to_json(), Path(assembly.directory), image.recipe_digest


def test_the_pipeline_publishes_the_image_and_the_recorded_command_runs_there(
    project, moto_server, tmp_path_factory, monkeypatch
):
    template, directory, digest = synthesized(project)
    specs = [
        resource["Properties"]["Source"].get("BuildSpec", "")
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::CodeBuild::Project"
    ]
    # The project of the assets has its commands in a file of the assembly.
    [name] = [spec for spec in specs if isinstance(spec, str) and spec.endswith("FileAsset.yaml")]
    phases = json.loads((directory / name).read_text())["phases"]
    assert "python3 -m venv .venv" in phases["install"]["commands"]
    assert any("cdk-assets" in line for line in phases["build"]["commands"])
    [manifest] = directory.glob("assembly-*/*.assets.json")
    files = json.loads(manifest.read_text())["files"]
    [command] = [asset["source"]["executable"] for asset in files.values() if "executable" in asset["source"]]
    assert command[0] == ".venv/bin/python"

    # Where CodeBuild runs it: the assembly, the recipes, Ingot, and nothing of the project.
    bare = tmp_path_factory.mktemp("codebuild") / "src"
    shutil.copytree(directory, bare)
    shutil.copytree(project / "image_recipes", bare / "image_recipes")
    (bare / ".venv").symlink_to((project / ".venv").resolve())
    environ = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(bare),
        "INGOT_HOME": str(bare / "home"),
        "AWS_ENDPOINT_URL": moto_server,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "no_proxy": "localhost,127.0.0.1",
    }
    for name, value in environ.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    ami_id = publish_image(digest)
    done = subprocess.run(command, cwd=bare, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [line] = done.stdout.splitlines()
    assert ami_id in Path(line).read_text()
    shutil.rmtree(bare / "image_recipes")
    done = subprocess.run(command, cwd=bare, env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, "image_recipes" in done.stderr) == (2, True)
