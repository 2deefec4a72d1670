import json
from pathlib import Path

import pytest
from aws_cdk import App

from stacks.builder_stack import BuilderStack
from stacks.fleet_stack import FleetStack
from stacks.settings.config import Config
from tests import ROOT
from tests.constructs.recipes import write_recipe


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The working directory of a CDK app, with one recipe, web."""
    write_recipe(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def make_app(project):
    """Return an app with both stacks, made with the flags of cdk.json as `cdk synth` makes it."""

    def make(**context):
        flags = json.loads((ROOT / "cdk.json").read_text())["context"]
        app = App(analytics_reporting=False, context=flags)
        config = Config.read(context, environment={})
        recipe = config.load_recipe()
        builder = BuilderStack(app, "IngotBuilder", config=config, architecture=recipe.architecture)
        FleetStack(
            app, config.stack_name("IngotFleet"), config=config, recipe=recipe, builder=builder.builder
        )
        return app

    return make


@pytest.fixture
def templates(make_app):
    """The templates of both stacks by name, with default settings."""
    out = Path(make_app().synth().directory)
    return {
        name: json.loads((out / f"{name}.template.json").read_text())
        for name in ("IngotBuilder", "IngotFleet")
    }
