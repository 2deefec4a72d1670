"""The CDK app: a stack in which images are baked and proved, and a stack for each fleet of clones."""

import sys

import aws_cdk as cdk
from ingot.errors import IngotError
from stacks.environments import read_environment
from stacks.fleet import FleetStack
from stacks.images import ImagesStack
from stacks.review import ReviewStack

# The fleets: the name of a stack, and the recipe in image_recipes/ that its clones are made from.
FLEETS: dict[str, str] = {
    # @FLEETS@
}
# Those of them without a load balancer, since nobody connects to their clones.
WORKERS: tuple[str, ...] = (
    # @WORKERS@
)


def main() -> None:
    """Create the stacks and write the cloud assembly."""
    app = cdk.App(analytics_reporting=False)
    environment = read_environment(app.node.try_get_context("env"))
    images = ImagesStack(app, "Images", environment=environment)
    for name, recipe in FLEETS.items():
        FleetStack(
            app,
            name,
            recipe=recipe,
            builder=images.builder,
            environment=environment,
            balanced=name not in WORKERS,
        )
    # In cdk.json, under context: "github": "OWNER/NAME". Then the workflows of .github/ can deploy.
    if repository := app.node.try_get_context("github"):
        ReviewStack(
            app,
            "Review",
            repository=repository,
            fleets=list(FLEETS),
            builder=images.builder,
            environment=environment,
        )
    app.synth()


if __name__ == "__main__":
    try:
        main()
    except IngotError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
