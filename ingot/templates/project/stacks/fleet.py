"""The stack of a fleet: an image, an Auto Scaling group of its clones, and their load balancer."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct
from ingot.constructs import Builder, CloneFleet, GoldenImage, Serving, add_fleet_outputs
from stacks.environments import Environment


class FleetStack(cdk.Stack):
    """Clones of one recipe's image, behind a load balancer if they are ``balanced``."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        recipe: str,
        builder: Builder,
        environment: Environment,
        balanced: bool = True,
    ) -> None:
        super().__init__(
            scope,
            name + environment.suffix,
            env=environment.place,
            description=f"Clones of the golden image {recipe}",
        )
        image = GoldenImage(self, "Image", recipe=recipe, builder=builder)
        self.fleet = CloneFleet(
            self,
            "Fleet",
            image=image,
            instance_type=environment.instance_type,
            min_clones=environment.min_clones,
            max_clones=environment.max_clones,
            serving=Serving(balanced=balanced),
        )
        add_fleet_outputs(self.fleet)
