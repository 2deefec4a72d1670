"""A jar that is built in a stage, one fleet."""

import sys

import aws_cdk as cdk

from ingot.constructs import (
    Builder,
    CloneFleet,
    GoldenImage,
    Serving,
    add_builder_outputs,
    add_fleet_outputs,
)
from ingot.errors import IngotError


def main() -> None:
    """Create the builder's stack and the fleet's, write the cloud assembly."""
    app = cdk.App(analytics_reporting=False)
    images = cdk.Stack(app, "Images")
    builder = Builder(images, "Builder")
    add_builder_outputs(builder)
    web = cdk.Stack(app, "Web")
    image = GoldenImage(web, "Image", recipe="java", builder=builder)
    fleet = CloneFleet(web, "Fleet", image=image, serving=Serving(8080), min_clones=2, max_clones=4)
    add_fleet_outputs(fleet)
    app.synth()


if __name__ == "__main__":
    try:
        main()
    except IngotError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
