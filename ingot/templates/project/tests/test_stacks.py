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
from stacks.review import ReviewStack

RECIPES = sorted(find_recipes(Path("image_recipes")))


@pytest.mark.parametrize("name", [None, "prod"])
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


def test_only_the_main_branch_of_the_repository_deploys():
    app = cdk.App()
    environment = read_environment(None)
    images = ImagesStack(app, "Images", environment=environment)
    review = ReviewStack(
        app,
        "Review",
        repository="acme/site",
        fleets=["Fleet"],
        builder=images.builder,
        environment=environment,
    )
    trusted = {
        role["Properties"]["AssumeRolePolicyDocument"]["Statement"][0]["Condition"]["StringEquals"][
            "token.actions.githubusercontent.com:sub"
        ]
        for role in Template.from_stack(review).find_resources("AWS::IAM::Role").values()
    }
    assert trusted == {"repo:acme/site:pull_request", "repo:acme/site:ref:refs/heads/main"}
