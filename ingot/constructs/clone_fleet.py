"""A fleet: clones of one golden image behind a load balancer, replaced by instance refresh."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import Duration, Tags
from aws_cdk import aws_autoscaling as autoscaling
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elb
from constructs import Construct

from ingot.constructs.audit import departs
from ingot.constructs.fleet_network import check_balancer_subnets, fleet_network, subnets_for_clones
from ingot.constructs.golden_image import GoldenImage
from ingot.constructs.machines import closed_group, root_volume
from ingot.errors import InputError


@dataclass(frozen=True)
class Refresh:
    """How the clones of an old image give way to those of a new one."""

    min_healthy_percentage: int = 100
    """Never fewer healthy clones than this share of the group."""
    max_healthy_percentage: int = 200
    """Never more clones than this: 200 starts all the new ones at once, 150 half of them."""
    warm_up: Duration | None = None
    """How long a new clone must serve before an old one goes. Default: 30 seconds."""
    bake_time: Duration | None = None
    """How long alarms are still watched after the last clone. Default: none."""


class CloneFleet(Construct):
    """An Auto Scaling group of clones, its load balancer, its alarms.

    A new image changes one line of the template, the launch template's AMI. CloudFormation then makes a new numbered launch
    template version and refreshes the group: a new clone has to be healthy at the load balancer before an old one goes, and a
    rise of 5xx answers stops it, upon which CloudFormation rolls back to the version before.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        image: GoldenImage,
        vpc: ec2.IVpc | None = None,
        clone_subnets: ec2.SubnetSelection | None = None,
        vpc_cidr: str = "172.20.0.0/16",
        internet_facing: bool = True,
        egress: bool = False,
        instance_type: str = "t3.small",
        min_clones: int = 2,
        max_clones: int = 4,
        desired_clones: int | None = None,
        health_path: str = "/healthz",
        health_grace: Duration | None = None,
        deregistration_delay: Duration | None = None,
        refresh: Refresh | None = None,
    ) -> None:
        """Create the fleet.

        :param image: what the clones are clones of
        :param vpc: a VPC with public subnets for the load balancer (internet_facing) and others for the clones. Default: one of
            its own over two zones, whose clones have no address and no way to the Internet
        :param clone_subnets: where in the VPC the clones are. Default: with ``egress`` its private subnets, else its isolated ones,
            else its private ones; never its public ones, unless they are named here
        :param vpc_cidr: the addresses of its own VPC
        :param internet_facing: whether the load balancer has public addresses
        :param egress: whether clones may reach the Internet; in its own VPC that takes a NAT gateway
        :param instance_type: Nitro, UEFI, of the image's architecture
        :param min_clones, max_clones: bounds of the group. Default: 2 and 4
        :param desired_clones: set the size with each deployment. Default: as many as there are, at first ``min_clones``
        :param health_path: the path that answers 200 when a clone is well
        :param health_grace: how long a new clone may take until it is well. Default: 5 minutes
        :param deregistration_delay: for how long a clone that goes may finish its requests. Default: 15 seconds
        :param refresh: how images are replaced
        :raises InputError: bounds that contradict each other; a VPC without subnets for the load balancer or the clones
        """
        super().__init__(scope, id_)
        _check_bounds(self.node.path, min_clones, desired_clones, max_clones)
        self.image = image
        self.vpc = vpc or fleet_network(self, cidr=vpc_cidr, egress=egress)
        check_balancer_subnets(self, self.vpc, internet_facing=internet_facing)
        self.launch_template = self._launch_template(instance_type, outbound=egress)
        self.load_balancer = self._load_balancer(internet_facing)
        self.targets = self._targets(health_path, deregistration_delay or Duration.seconds(15))
        self.errors_alarm, self.unhealthy_alarm = self._alarms()
        self.group = self._group(
            self._update_policy(refresh or Refresh()),
            health_grace or Duration.minutes(5),
            (min_clones, desired_clones, max_clones),
            clone_subnets or subnets_for_clones(self, self.vpc, egress=egress),
        )
        self.group.attach_to_application_target_group(self.targets)
        # Clones that start before there is a listener would count as unhealthy.
        self.group.node.add_dependency(self.targets.load_balancer_attached)
        Tags.of(self).add("ingot:recipe", image.recipe.name)

    @property
    def url(self) -> str:
        """The URL of the load balancer."""
        return f"http://{self.load_balancer.load_balancer_dns_name}"

    def _launch_template(self, instance_type: str, *, outbound: bool) -> ec2.LaunchTemplate:
        group = closed_group(
            self,
            "CloneGroup",
            vpc=self.vpc,
            description="Clones: only the load balancer comes in",
            outbound=outbound,
        )
        template = ec2.LaunchTemplate(
            self,
            "Clone",
            machine_image=self.image,
            instance_type=ec2.InstanceType(instance_type),
            security_group=group,
            block_devices=[root_volume(size=self.image.recipe.root_volume.size)],
            require_imdsv2=True,
            http_put_response_hop_limit=1,
        )
        # The CDK writes the image's empty user data down; without the key a clone's metadata says that there is none.
        cfn = template.node.default_child
        assert isinstance(cfn, ec2.CfnLaunchTemplate)  # noqa: S101 - what the construct is made of
        cfn.add_property_deletion_override("LaunchTemplateData.UserData")
        Tags.of(template).add("Name", f"ingot-{self.image.recipe.name}")
        return template

    def _load_balancer(self, internet_facing: bool) -> elb.ApplicationLoadBalancer:
        group = ec2.SecurityGroup(
            self,
            "BalancerGroup",
            vpc=self.vpc,
            description="Load balancer: HTTP comes in, and goes to the clones alone",
            allow_all_outbound=False,
        )
        balancer = elb.ApplicationLoadBalancer(
            self,
            "Balancer",
            vpc=self.vpc,
            internet_facing=internet_facing,
            security_group=group,
            drop_invalid_header_fields=True,
        )
        departs(
            balancer,
            "AwsSolutions-ELB2",
            "Access logs need a bucket whose region and retention are the owner's choice; errors are counted by the alarms.",
        )
        return balancer

    def _targets(self, health_path: str, delay: Duration) -> elb.ApplicationTargetGroup:
        targets = elb.ApplicationTargetGroup(
            self,
            "Targets",
            vpc=self.vpc,
            port=80,
            protocol=elb.ApplicationProtocol.HTTP,
            target_type=elb.TargetType.INSTANCE,
            deregistration_delay=delay,
            health_check=elb.HealthCheck(
                path=health_path,
                healthy_http_codes="200",
                interval=Duration.seconds(10),
                timeout=Duration.seconds(5),
                healthy_threshold_count=2,
                unhealthy_threshold_count=3,
            ),
        )
        self.load_balancer.add_listener("Http", port=80, open=True, default_target_groups=[targets])
        departs(
            self.load_balancer.connections.security_groups[0],
            "AwsSolutions-EC23",
            "The load balancer serves the public on port 80; clones take connections from it alone.",
        )
        return targets

    def _alarms(self) -> tuple[cloudwatch.Alarm, cloudwatch.Alarm]:
        """Return the alarm on 5xx answers of clones, which stops a refresh, and the one on unhealthy clones.

        Unhealthy clones do not stop a refresh by an alarm: instance refresh waits for health by itself.
        """
        minute = Duration.minutes(1)
        errors = cloudwatch.Alarm(
            self,
            "Errors",
            alarm_description="Clones answer with 5xx",
            metric=self.targets.metrics.http_code_target(
                elb.HttpCodeTarget.TARGET_5XX_COUNT, period=minute, statistic="Sum"
            ),
            threshold=5,
            evaluation_periods=2,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        unhealthy = cloudwatch.Alarm(
            self,
            "Unhealthy",
            alarm_description="A clone fails the load balancer's health check for five minutes",
            metric=self.targets.metrics.unhealthy_host_count(period=minute, statistic="Maximum"),
            threshold=1,
            evaluation_periods=5,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        return errors, unhealthy

    def _update_policy(self, refresh: Refresh) -> autoscaling.UpdatePolicy:
        return autoscaling.UpdatePolicy.instance_refresh(
            strategy=autoscaling.InstanceRefreshStrategy.ROLLING,
            min_healthy_percentage=refresh.min_healthy_percentage,
            max_healthy_percentage=refresh.max_healthy_percentage,
            instance_warmup=refresh.warm_up or Duration.seconds(30),
            bake_time=refresh.bake_time,
            skip_matching=True,
            alarms=[self.errors_alarm],
        )

    def _group(
        self,
        policy: autoscaling.UpdatePolicy,
        grace: Duration,
        sizes: tuple[int, int | None, int],
        subnets: ec2.SubnetSelection,
    ) -> autoscaling.AutoScalingGroup:
        minimum, desired, maximum = sizes
        group = autoscaling.AutoScalingGroup(
            self,
            "Group",
            vpc=self.vpc,
            vpc_subnets=subnets,
            launch_template=self.launch_template,
            min_capacity=minimum,
            max_capacity=maximum,
            desired_capacity=desired,
            health_checks=autoscaling.HealthChecks.with_additional_checks(
                additional_types=[autoscaling.AdditionalHealthCheckType.ELB], grace_period=grace
            ),
            update_policy=policy,
        )
        Tags.of(group).add("Name", f"ingot-{self.image.recipe.name}")
        departs(
            group,
            "AwsSolutions-AS3",
            "Replacing clones is routine; who wants to be told subscribes to the alarms or to the group's EventBridge events.",
        )
        return group


def _check_bounds(where: str, minimum: int, desired: int | None, maximum: int) -> None:
    wanted = minimum if desired is None else desired
    if not 0 <= minimum <= wanted <= maximum:
        raise InputError(
            f"{where}: min {minimum}, desired {wanted}, max {maximum} clones; expected 0 <= min <= desired <= max"
        )
