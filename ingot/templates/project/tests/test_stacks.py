"""The app can be synthesized, and its stacks are what environments.yaml says."""

from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Template
from ingot.recipe.digest import recipe_digest
from ingot.recipe.load import find_recipes, load_recipe
from stacks.environments import read_environment
from stacks.fleet import FleetStack
from stacks.images import ImagesStack

RECIPES = sorted(find_recipes(Path("image_recipes")))


@pytest.mark.parametrize("name", ["default", "prod"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_fleet_has_the_recipes_image_and_the_environments_size(recipe, name):
    app = cdk.App()
    environment = read_environment(name)
    images = ImagesStack(app, "Images", environment=environment)
    stack = FleetStack(app, "Fleet", recipe=recipe, builder=images.builder, environment=environment)
    template = Template.from_stack(stack)
    template.has_output("RecipeDigest", {"Value": recipe_digest(load_recipe(Path("image_recipes", recipe)))})
    template.has_resource_properties(
        "AWS::AutoScaling::AutoScalingGroup",
        {"MinSize": str(environment.min_clones), "MaxSize": str(environment.max_clones)},
    )
