import pytest
from aws_cdk import App, Stack

from ingot.constructs import GoldenImage
from tests.constructs.recipes import write_recipe


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The working directory of a CDK app, with one recipe, web."""
    write_recipe(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def stack():
    return Stack(App(analytics_reporting=False), "Test")


@pytest.fixture
def image(project, stack):
    return GoldenImage(stack, "Image", recipe="web")
