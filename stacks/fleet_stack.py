"""The fleet's stack: golden image, clones, load balancer."""

from __future__ import annotations

from aws_cdk import CfnOutput, Duration
from constructs import Construct

from ingot.constructs import Builder, CloneFleet, GoldenImage
from ingot.constructs.clone_fleet import Refresh
from stacks.base import IngotStack
from stacks.config import Config


class FleetStack(IngotStack):
    """Clones of one recipe's image."""

    def __init__(self, scope: Construct, id_: str, *, config: Config, builder: Builder) -> None:
        super().__init__(
            scope, id_, config=config, description=f"Ingot: clones of the golden image {config.recipe}"
        )
        self.image = GoldenImage(self, "Image", recipe=config.recipe, builder=builder)
        self.fleet = CloneFleet(
            self,
            "Fleet",
            image=self.image,
            vpc_cidr=config.vpc_cidr,
            internet_facing=config.internet_facing,
            egress=config.egress,
            instance_type=config.instance_type,
            min_clones=config.min_clones,
            max_clones=config.max_clones,
            desired_clones=config.desired_clones,
            health_path=config.health_path,
            health_grace=Duration.seconds(config.health_grace_seconds),
            deregistration_delay=Duration.seconds(config.deregistration_seconds),
            refresh=Refresh(
                max_healthy_percentage=config.refresh_max_healthy_percentage,
                warm_up=Duration.seconds(config.warm_up_seconds),
            ),
        )
        outputs = {
            "Url": self.fleet.url,
            "AutoScalingGroupName": self.fleet.group.auto_scaling_group_name,
            "LaunchTemplateId": self.fleet.launch_template.launch_template_id,
            "RecipeName": self.image.recipe.name,
            "RecipeDigest": self.image.recipe_digest,
        }
        for name, value in outputs.items():
            CfnOutput(self, name, value=value or "")
