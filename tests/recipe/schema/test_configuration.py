"""What a recipe says of its clones' configuration: names, owners, services."""

import json

import pytest

from ingot.errors import InputError
from ingot.recipe.compile import compile_spec
from ingot.recipe.digest import recipe_digest
from ingot.recipe.load import load_recipe
from ingot.recipe.lock.distribution import distribution_of
from ingot.spec import ConfigurationSpec, SecretSpec, read_spec

RECIPE = """\
configuration:
  environment: {LEVEL: debug, HOST: localhost}
  secrets:
    password: {owner: app, mode: "0440", example: none}
    key: {}
  services: [apache2]
  refresh: 600
  on_change: reload
"""


def add(web, text):
    web.file.write_text(web.file.read_text() + text)


def problems(web):
    with pytest.raises(InputError) as caught:
        load_recipe(web.file)
    return [str(problem) for problem in caught.value.problems]


def test_it_is_compiled_and_travels(web):
    add(web, RECIPE)
    lock = json.loads((web.path / "recipe.lock").read_text())
    lock["requested"]["base"] = sorted([*lock["requested"]["base"], "ca-certificates", "openssl"])
    (web.path / "recipe.lock").write_text(json.dumps(lock))
    spec = compile_spec(load_recipe(web.file))
    assert spec.configuration == ConfigurationSpec(
        variables=(("HOST", "localhost"), ("LEVEL", "debug")),
        secrets=(SecretSpec("key"), SecretSpec("password", "app", "root", "0440", "none")),
        services=("apache2",),
        refresh=600,
        on_change="reload",
    )
    assert read_spec(spec.text()) == spec


def test_the_image_gets_what_speaks_tls(web):
    before = distribution_of(load_recipe(web.file)).base_packages
    add(web, RECIPE)
    after = distribution_of(load_recipe(web.file)).base_packages
    assert set(after) - set(before) == {"ca-certificates", "openssl"}


def test_a_recipe_without_one_keeps_its_digest(web):
    before = recipe_digest(load_recipe(web.file))
    add(web, "configuration: null\n")
    assert recipe_digest(load_recipe(web.file)) == before


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("configuration: {secrets: {key: {owner: apq}}}", "the user 'apq', which is not declared"),
        ("configuration: {environment: {A: b}, group: grp}", "the group 'grp', which is not declared"),
        ("configuration: {services: [apache2]}", "a configuration without values"),
        ("configuration: {environment: {A: b}, services: [app.socket]}", "'app.socket'"),
        ("configuration: {environment: {A: b}, refresh: 59}", "59"),
        ("configuration: {environment: {1A: b}}", "1A"),
        ("configuration: {secrets: {../key: {}}}", "../key"),
        ("configuration: {secrets: {key: {mode: 440}}}", "440"),
        ("configuration: {environment: {A: b}, on_change: reboot}", "reboot"),
    ],
)
def test_what_cannot_be_is_said_with_its_place(web, given, message):
    add(web, given + "\n")
    [problem] = problems(web)
    assert message in problem
    assert problem.startswith("image_recipes/web/recipe.yaml:15:")
