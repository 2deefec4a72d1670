"""A PostgreSQL server with its data on a volume of its own, behind an internal Network Load Balancer."""

import sys

import aws_cdk as cdk
from aws_cdk import aws_secretsmanager as secretsmanager

from ingot.constructs import (
    Builder,
    CloneFleet,
    GoldenImage,
    Refresh,
    Serving,
    Volume,
    add_builder_outputs,
    add_fleet_outputs,
)
from ingot.errors import IngotError


def main() -> None:
    """Create the builder's stack and the database's, write the cloud assembly."""
    app = cdk.App(analytics_reporting=False)
    images = cdk.Stack(app, "Images")
    builder = Builder(images, "Builder")
    add_builder_outputs(builder)
    stack = cdk.Stack(app, "Database")
    password = secretsmanager.Secret(
        stack,
        "AppPassword",
        generate_secret_string=secretsmanager.SecretStringGenerator(
            exclude_punctuation=True, password_length=32
        ),
    )
    fleet = CloneFleet(
        stack,
        "Server",
        image=GoldenImage(stack, "Image", recipe="postgresql", builder=builder),
        serving=Serving(5432, "TCP"),
        internet_facing=False,
        # One server. A new image gives the running one another root volume: the data stays where it is.
        min_clones=1,
        max_clones=1,
        refresh=Refresh(strategy="REPLACE_ROOT_VOLUME", min_healthy_percentage=0),
        volumes={"data": Volume(size=cdk.Size.gibibytes(20), keep=True)},
        secrets={"app-password": password},
    )
    add_fleet_outputs(fleet)
    app.synth()


if __name__ == "__main__":
    try:
        main()
    except IngotError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
