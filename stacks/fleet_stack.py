"""The fleet's stack: golden image, clones, load balancer."""

from __future__ import annotations

import jsii
from aws_cdk import Annotations, Duration, Tags
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from ingot.constructs import (
    Alarms,
    Builder,
    CloneFleet,
    GoldenImage,
    Refresh,
    Scaling,
    Serving,
    Spot,
    WarmPool,
    add_fleet_outputs,
)
from ingot.recipe.schema.model import Recipe
from stacks.base import IngotStack
from stacks.settings.config import Config


class FleetStack(IngotStack):
    """Clones of one recipe's image."""

    def __init__(
        self, scope: Construct, id_: str, *, config: Config, recipe: Recipe, builder: Builder
    ) -> None:
        self._zone_names = config.zone_names
        description = f"Ingot: clones of the golden image {recipe.name}"
        super().__init__(scope, id_, config=config, description=description)
        self.image = GoldenImage(self, "Image", recipe=recipe, builder=builder)
        self.fleet = self._fleet(config)
        if config.env is not None:
            Tags.of(self).add("ingot:environment", config.env)
        add_fleet_outputs(self.fleet)

    @property
    @jsii.member(jsii_name="availabilityZones")
    def availability_zones(self) -> list[str]:
        """The zones that the settings name, else the region's first ones."""
        return list(self._zone_names) or super().availability_zones

    def _fleet(self, config: Config) -> CloneFleet:
        """Return the fleet that the settings describe."""
        spot = config.spot_percentage > 0
        return CloneFleet(
            self,
            "Fleet",
            image=self.image,
            vpc=self._vpc(config),
            vpc_cidr=config.vpc_cidr,
            zones=config.zones,
            internet_facing=config.internet_facing,
            egress=config.egress,
            certificate_arn=config.certificate_arn,
            domain_name=config.domain_name,
            access_logs=None if config.access_log_days is None else Duration.days(config.access_log_days),
            instance_type=config.instance_type,
            more_instance_types=config.more_instance_types,
            spot=Spot(config.spot_percentage, config.on_demand_base) if spot else None,
            min_clones=config.min_clones,
            max_clones=config.max_clones,
            desired_clones=config.desired_clones,
            scaling=Scaling(config.cpu_target, config.requests_target),
            warm_pool=WarmPool(config.warm_pool) if config.warm_pool else None,
            serving=_serving(config),
            health_path=config.health_path,
            health_grace=Duration.seconds(config.health_grace_seconds),
            deregistration_delay=Duration.seconds(config.deregistration_seconds),
            idle_timeout=Duration.seconds(config.idle_timeout_seconds),
            refresh=_refresh(config),
            alarms=Alarms(
                config.alarm_errors, Duration.millis(config.alarm_latency_seconds * 1000), config.alarm_topics
            ),
            show_dashboard=config.dashboard,
            volume_initialization_rate=config.volume_initialization_rate,
            detailed_monitoring=config.detailed_monitoring,
            session_manager=config.session_manager,
        )

    def _vpc(self, config: Config) -> ec2.IVpc | None:
        """Return the VPC that is given by its ids: nothing is looked up, so that nothing goes stale."""
        if config.vpc_id is None:
            return None
        kind = "private_subnet_ids" if config.egress else "isolated_subnet_ids"
        vpc = ec2.Vpc.from_vpc_attributes(
            self,
            "Vpc",
            vpc_id=config.vpc_id,
            availability_zones=[*config.vpc_zones],
            public_subnet_ids=[*config.public_subnets] or None,
            **{kind: [*config.clone_subnets]},  # type: ignore[arg-type]  # a list, as both of them are
        )
        Annotations.of(vpc).acknowledge_warning(
            "@aws-cdk/aws-ec2:noSubnetRouteTableId", "nothing is added to the given VPC's route tables"
        )
        return vpc


def _serving(config: Config) -> Serving:
    sticky = None if config.sticky_seconds is None else Duration.seconds(config.sticky_seconds)
    return Serving(config.port, config.protocol, sticky=sticky)


def _refresh(config: Config) -> Refresh:
    return Refresh(
        min_healthy_percentage=config.refresh_min_healthy_percentage,
        max_healthy_percentage=config.refresh_max_healthy_percentage,
        warm_up=Duration.seconds(config.warm_up_seconds),
        checkpoints=config.refresh_checkpoints,
        checkpoint_delay=Duration.seconds(config.refresh_checkpoint_seconds),
        bake_time=Duration.seconds(config.refresh_bake_seconds) if config.refresh_bake_seconds else None,
        watch_alarms=config.refresh_alarms,
        strategy=config.refresh_strategy,
    )
