"""The CDK app: a stack where golden images are baked and proved, and a stack with a fleet of clones."""

import sys

import aws_cdk as cdk

from ingot.errors import IngotError
from stacks.builder_stack import BuilderStack
from stacks.fleet_stack import FleetStack
from stacks.review_stack import ReviewStack
from stacks.settings.config import BUILDER_STACK, FLEET_STACK, REVIEW_STACK, Config


def main() -> None:
    """Read context and environments, create the stacks, write the cloud assembly."""
    app = cdk.App(analytics_reporting=False)
    context = app.node.get_all_context()
    config = Config.read(context)
    recipe = config.load_recipe()
    shared = BuilderStack(app, BUILDER_STACK, config=config, architecture=recipe.architecture)
    FleetStack(app, config.stack_name(FLEET_STACK), config=config, recipe=recipe, builder=shared.builder)
    if context.get("github") is not None:
        ReviewStack(app, REVIEW_STACK, config=config, context=context, builder=shared.builder)
    app.synth()


if __name__ == "__main__":
    try:
        main()
    except IngotError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the CDK CLI passes it on
        sys.exit(error.exit_code)
