import json

import pytest

from ingot.errors import InputError
from ingot.pipeline.app import BUILDER_STACK, FLEET_STACK, require_stack, stack_name
from stacks.settings import config
from tests import ROOT


@pytest.fixture
def app(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cdk.json").write_text(json.dumps({"context": {FLEET_STACK: "Site"}}))
    return tmp_path / "cdk.json"


def test_the_app_names_its_stacks(app):
    assert stack_name(FLEET_STACK) == require_stack(FLEET_STACK) == "Site"
    assert stack_name(BUILDER_STACK) is None


def test_the_caller_names_another(app):
    assert require_stack(FLEET_STACK, "Api") == "Api"


def test_a_stack_that_nobody_names_is_asked_for(app):
    with pytest.raises(InputError, match="no stack of a builder is named") as error:
        require_stack(BUILDER_STACK)
    assert (
        error.value.hint
        == "name it with --builder-stack, or in cdk.json, under context, as ingot:builder_stack"
    )


@pytest.mark.parametrize("text", ["[]", "{}", '{"context": []}'])
def test_an_app_without_context_names_none(app, text):
    app.write_text(text)
    assert stack_name(FLEET_STACK) is None


def test_so_does_a_directory_without_an_app(app):
    app.unlink()
    assert stack_name(FLEET_STACK) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cdk.json cannot be read: "),
        ('{"context": {"ingot:fleet_stack": 5}}', "ingot:fleet_stack must be the name of a stack, not 5"),
    ],
)
def test_an_app_that_cannot_be_read_is_bad_input(app, text, message):
    app.write_text(text)
    with pytest.raises(InputError, match=message):
        stack_name(FLEET_STACK)


def test_the_app_that_ships_names_the_stacks_that_it_makes():
    assert stack_name(BUILDER_STACK, ROOT) == config.BUILDER_STACK
    assert stack_name(FLEET_STACK, ROOT) == config.FLEET_STACK
