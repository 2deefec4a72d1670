"""The stack in which images are baked and proved. It costs nothing while nothing is published."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct
from ingot.constructs import Builder, add_builder_outputs
from stacks.environments import Environment


class ImagesStack(cdk.Stack):
    """What `ingot publish` needs in an account: a network, and launch templates for builders and tests."""

    def __init__(self, scope: Construct, id_: str, *, environment: Environment) -> None:
        super().__init__(
            scope, id_, env=environment.place, description="Where golden images are baked and proved"
        )
        self.builder = Builder(self, "Builder")
        add_builder_outputs(self.builder)
