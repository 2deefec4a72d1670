import json
import sys
from pathlib import Path

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk.assertions import Match, Template

from ingot.constructs import Builder, GoldenImage
from ingot.errors import InputError
from ingot.recipe.digest import recipe_digest
from ingot.recipe.load import load_recipe
from tests.constructs.recipes import write_recipe


def golden_asset(stack: Stack) -> tuple[str, dict]:
    """The one asset of a stack that an executable makes: its id and its source."""
    app = stack.node.root
    out = Path(app.synth().directory)
    files = json.loads((out / f"{stack.artifact_id}.assets.json").read_text())["files"]
    [(key, asset)] = [(k, a) for k, a in files.items() if "executable" in a["source"]]
    assert {d["objectKey"] for d in asset["destinations"].values()} == {key}
    return key, asset["source"]


def test_the_asset_is_named_by_the_recipe_digest(project, stack):
    image = GoldenImage(stack, "Image", recipe="web")
    key, _ = golden_asset(stack)
    assert key == image.recipe_digest == recipe_digest(load_recipe(project / "image_recipes" / "web"))


def test_the_command_publishes_that_digest_and_knows_no_path_outside(project, stack, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(project / ".venv" / "bin" / "python"))
    image = GoldenImage(stack, "Image", recipe="web")
    _, source = golden_asset(stack)
    assert source["executable"] == [
        ".venv/bin/python",
        "-m",
        "ingot.cli.main",
        "publish",
        "web",
        "--digest",
        image.recipe_digest,
        "--asset",
    ]
    assert str(project) not in json.dumps(source)


@pytest.mark.parametrize(
    ("env", "options"),
    [
        ({"region": "eu-west-1"}, ["--region", "eu-west-1"]),
        (
            {"region": "eu-west-1", "account": "111122223333"},
            ["--region", "eu-west-1", "--account", "111122223333"],
        ),
    ],
)
def test_the_image_goes_where_the_stack_goes_whoever_calls(project, env, options):
    stack = Stack(App(), "Placed", env=env)
    image = GoldenImage(stack, "Image", recipe="web")
    _, source = golden_asset(stack)
    assert source["executable"][4:] == ["web", *options, "--digest", image.recipe_digest, "--asset"]


def test_the_command_names_the_builders_stack(project, stack):
    builder = Builder(Stack(stack.node.root, "Shared", stack_name="company-images"), "Builder")
    GoldenImage(stack, "Image", recipe="web", builder=builder)
    _, source = golden_asset(stack)
    assert source["executable"][4:7] == ["web", "--builder-stack", "company-images"]


def test_a_builder_of_another_app_is_named_as_well(project, stack):
    GoldenImage(stack, "Image", recipe="web", builder_stack="company-images")
    _, source = golden_asset(stack)
    assert source["executable"][5:7] == ["--builder-stack", "company-images"]


def test_a_recipe_elsewhere_is_named_by_its_directory(project, stack):
    directory = write_recipe(project / "team", "api")
    GoldenImage(stack, "Image", recipe=directory)
    _, source = golden_asset(stack)
    assert source["executable"][3:7] == ["publish", "api", "--recipes", "team/image_recipes"]


def test_the_environment_of_the_recipe_reaches_the_command(project, stack):
    recipe = project / "image_recipes" / "web" / "recipe.yaml"
    recipe.write_text(recipe.read_text() + "variables: {host: one}\nenvironments: {prod: {host: two}}\n")
    recipe.write_text(recipe.read_text() + "hostname: ${host}\n")
    image = GoldenImage(stack, "Image", recipe="web", environment="prod")
    assert (
        image.recipe_digest
        == recipe_digest(load_recipe(recipe, "prod"))
        != recipe_digest(load_recipe(recipe))
    )
    _, source = golden_asset(stack)
    assert source["executable"][4:] == ["web", "--env", "prod", "--digest", image.recipe_digest, "--asset"]


def test_a_recipe_may_be_named_by_its_file(project, stack):
    by_name = GoldenImage(stack, "ByName", recipe="web")
    by_file = GoldenImage(stack, "ByFile", recipe=project / "image_recipes" / "web" / "recipe.yaml")
    assert by_file.recipe_digest == by_name.recipe_digest
    golden_asset(stack)  # one asset, not two


def test_the_template_refers_to_the_registry(project, stack):
    image = GoldenImage(stack, "Image", recipe="web")
    ec2.LaunchTemplate(stack, "Template", machine_image=image)
    reference = f"{{{{resolve:ssm:/ingot/web/{image.recipe_digest}}}}}"
    assert image.ami_id == reference
    Template.from_stack(stack).has_resource_properties(
        "AWS::EC2::LaunchTemplate", {"LaunchTemplateData": Match.object_like({"ImageId": reference})}
    )


def test_another_content_is_another_image(project, stack):
    before = GoldenImage(stack, "Before", recipe="web").recipe_digest
    write_recipe(project, motd="changed")
    assert GoldenImage(stack, "After", recipe="web").recipe_digest != before


def test_the_builder_is_deployed_first(project):
    app = App(analytics_reporting=False)
    below, above = Stack(app, "Below"), Stack(app, "Above")
    GoldenImage(above, "Image", recipe="web", builder=Builder(below, "Builder"))
    assert [stack.stack_name for stack in above.dependencies] == ["Below"]


def test_a_builder_in_the_same_stack_is_refused(project, stack):
    with pytest.raises(InputError, match="the builder of a GoldenImage is in the same stack"):
        GoldenImage(stack, "Image", recipe="web", builder=Builder(stack, "Builder"))


def test_a_recipe_that_is_not_there_is_told_with_those_that_are(project, stack):
    with pytest.raises(InputError, match=r"no recipe 'wbe' .* there is: web"):
        GoldenImage(stack, "Image", recipe="wbe")


def test_problems_of_the_recipe_come_with_their_places(project, stack):
    file = project / "image_recipes" / "web" / "recipe.yaml"
    file.write_text(file.read_text() + "colour: red\n")
    with pytest.raises(InputError) as caught:
        GoldenImage(stack, "Image", recipe="web")
    assert "recipe.yaml:7:1" in str(caught.value)


def test_a_recipe_without_lock_names_the_command(project, stack):
    (project / "image_recipes" / "web" / "recipe.lock").unlink()
    with pytest.raises(InputError) as caught:
        GoldenImage(stack, "Image", recipe="web")
    assert "ingot lock web" in str(caught.value)
