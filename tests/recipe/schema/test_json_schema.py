import json
import re

import jsonschema
import pytest
from ruamel.yaml import YAML

from ingot.recipe.schema.json_schema import SCHEMA_PATH, schema_text
from tests import ROOT
from tests.bake.test_everything import RECIPE as EVERYTHING

RECIPES = sorted((ROOT / "image_recipes").glob("*/recipe.yaml"))


def test_the_schema_is_up_to_date():
    assert SCHEMA_PATH.read_text() == schema_text(), "run: python -m ingot.recipe.schema.json_schema"


def test_an_editor_says_that_steps_have_no_network():
    schema = json.loads(SCHEMA_PATH.read_text())
    for properties in (schema["properties"], schema["$defs"]["Stage"]["properties"]):
        assert "without a network" in properties["steps"]["description"]


@pytest.mark.parametrize("recipe", RECIPES, ids=[path.parent.name for path in RECIPES])
def test_each_recipe_points_at_the_schema_and_keeps_it(recipe):
    first = recipe.read_text().splitlines()[0]
    _, relative = first.split("yaml-language-server: $schema=")
    assert (recipe.parent / relative).resolve() == SCHEMA_PATH
    data = YAML(typ="safe").load(recipe)
    jsonschema.validate(data, json.loads(SCHEMA_PATH.read_text()))


@pytest.mark.parametrize(
    "change",
    [
        {"packges": []},
        {"base": {}},
        {"base": {"ami": {"id": "ami-0123456789abcdef0", "ssm": "/x"}}},
        {"root_volume": {"size": "2GB"}},
        {"steps": [3]},
        {"name": "A"},
    ],
)
def test_the_schema_refuses_what_the_model_refuses(change):
    recipe = {
        "name": "a",
        "base": {"debian": "bookworm"},
        "root_volume": {"size": "2GiB"},
        "steps": ["a", {"run": "b"}],
    }
    schema = json.loads(SCHEMA_PATH.read_text())
    jsonschema.validate(recipe, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**recipe, **change}, schema)


def test_the_schema_takes_all_that_a_recipe_can_say_and_variables_in_its_place():
    schema = json.loads(SCHEMA_PATH.read_text())
    recipe = YAML(typ="safe").load(EVERYTHING.replace("URI", "https://deb.example.com"))
    jsonschema.validate(recipe, schema)
    recipe["users"][0]["uid"] = "${uid}"
    recipe["packages"].append("php${version}")
    recipe["root_volume"]["size"] = "${size}"
    recipe["drop"]["docs"] = "${docs}"
    recipe["base"] = {"debian": "${suite}"}
    jsonschema.validate(recipe, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**recipe, "variables": {"a": []}}, schema)


def test_what_the_docs_show_of_recipes_keeps_the_schema():
    schema = json.loads(SCHEMA_PATH.read_text())
    del schema["required"]
    blocks = [
        block
        for page in ("recipe.md", "hygiene.md")
        for block in re.findall(
            r"^```yaml\n(.*?)^```", (ROOT / "docs" / page).read_text(), re.DOTALL | re.MULTILINE
        )
    ]
    assert len(blocks) > 4
    for block in blocks:
        jsonschema.validate(YAML(typ="safe").load(block), schema)
    keys = set(re.findall(r"^\| `([a-z_]+)`", (ROOT / "docs" / "recipe.md").read_text(), re.MULTILINE))
    assert not schema["properties"].keys() - keys  # every key has its row


def test_every_key_says_what_it_is_for():
    schema = json.loads(schema_text())
    parts = {"Recipe": schema, **schema["$defs"]}
    undescribed = [
        f"{name}.{key}"
        for name, part in parts.items()
        for key, value in part.get("properties", {}).items()
        if not value.get("description")
    ]
    assert undescribed == []
