"""Two recipes, two fleets, one builder: an app of another team, with Ingot from its package."""

import sys

import aws_cdk as cdk

from ingot.constructs import (
    Builder,
    CloneFleet,
    GoldenImage,
    Refresh,
    Scaling,
    add_builder_outputs,
    add_fleet_outputs,
)
from ingot.errors import IngotError


def main() -> None:
    """Create the builder's stack and a stack for each fleet, write the cloud assembly."""
    app = cdk.App(analytics_reporting=False)

    # `ingot publish` looks for the outputs of this stack; images that know their builder say what it is
    # called.
    shared = cdk.Stack(app, "Images")
    builder = Builder(shared, "Builder")
    add_builder_outputs(builder)

    site = cdk.Stack(app, "Site")
    fleet = CloneFleet(
        site,
        "Fleet",
        image=GoldenImage(site, "Image", recipe="site", builder=builder),
        min_clones=2,
        max_clones=6,
    )
    add_fleet_outputs(fleet)

    # The API is for the company's own network, in addresses beside those of the site.
    api = cdk.Stack(app, "Api")
    fleet = CloneFleet(
        api,
        "Fleet",
        image=GoldenImage(api, "Image", recipe="api", builder=builder),
        vpc_cidr="172.22.0.0/16",
        internet_facing=False,
        min_clones=1,
        max_clones=3,
        scaling=Scaling(cpu=None, requests=3000),
        refresh=Refresh(max_healthy_percentage=150, bake_time=cdk.Duration.minutes(5)),
    )
    add_fleet_outputs(fleet)
    app.synth()


if __name__ == "__main__":
    try:
        main()
    except IngotError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
