"""The stacks that ship, written with the CDK alone: no recipe, no settings, no Ingot.

`bench/subjects/cdk.py` holds them against each other.
"""

from __future__ import annotations

import os

import aws_cdk as cdk
import jsii
from aws_cdk import aws_autoscaling as autoscaling
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3

# What a person would have written by hand where Ingot computes it.
DIGEST = "0" * 64
IMAGE = "{{resolve:ssm:/ingot/web/" + DIGEST + "}}"


class Zoned(cdk.Stack):
    """A stack over two zones, whichever they are."""

    @property
    @jsii.member(jsii_name="availabilityZones")
    def availability_zones(self) -> list[str]:
        """Return the first two zones."""
        return [cdk.Fn.select(number, cdk.Fn.get_azs()) for number in (0, 1)]


def disk(size: int | None = None) -> list[ec2.BlockDevice]:
    """Return the root disk."""
    properties = ec2.EbsDeviceProps(
        encrypted=True, delete_on_termination=True, volume_type=ec2.EbsDeviceVolumeType.GP3, volume_size=size
    )
    return [ec2.BlockDevice(device_name="/dev/xvda", volume=ec2.BlockDeviceVolume(properties))]


def builder(app: cdk.App) -> cdk.Stack:
    """Return the builder's stack."""
    stack = Zoned(app, "BareBuilder", description="Bare: where golden images are baked and proved")
    public = ec2.SubnetConfiguration(
        name="Public", subnet_type=ec2.SubnetType.PUBLIC, map_public_ip_on_launch=True
    )
    vpc = ec2.Vpc(
        stack, "Network", ip_addresses=ec2.IpAddresses.cidr("172.21.0.0/24"), max_azs=2, nat_gateways=0,
        subnet_configuration=[public], restrict_default_security_group=False,
    )  # fmt: skip
    bucket = s3.Bucket(
        stack,
        "Bundles",
        encryption=s3.BucketEncryption.S3_MANAGED,
        enforce_ssl=True,
        minimum_tls_version=1.2,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        removal_policy=cdk.RemovalPolicy.DESTROY,
        object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
        lifecycle_rules=[s3.LifecycleRule(expiration=cdk.Duration.days(7))],
    )
    log = logs.LogGroup(stack, "Log", retention=logs.RetentionDays.ONE_MONTH)
    role = iam.Role(stack, "Role", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
    for actions, resource in (
        (["s3:GetObject"], bucket.arn_for_objects("bundles/*")),
        (["logs:CreateLogStream", "logs:PutLogEvents"], log.log_group_arn),
        (["ebs:StartSnapshot", "ebs:PutSnapshotBlock", "ebs:CompleteSnapshot"], "*"),
    ):
        role.add_to_policy(iam.PolicyStatement(actions=actions, resources=[resource]))
    group = ec2.SecurityGroup(
        stack, "Group", vpc=vpc, description="Nothing comes in", allow_all_outbound=True
    )
    for name, kind, owner in (("Machine", "c7i.large", role), ("TestClone", "t3.small", None)):
        template = ec2.LaunchTemplate(
            stack,
            name,
            instance_type=ec2.InstanceType(kind),
            security_group=group,
            role=owner,
            block_devices=disk(),
            require_imdsv2=True,
            http_put_response_hop_limit=1,
            instance_initiated_shutdown_behavior=ec2.InstanceInitiatedShutdownBehavior.TERMINATE,
        )
        cdk.Tags.of(template).add("Name", name)
        cdk.CfnOutput(stack, f"{name}Id", value=template.launch_template_id or "")
    cdk.CfnOutput(stack, "BucketName", value=bucket.bucket_name)
    cdk.CfnOutput(stack, "LogGroupName", value=log.log_group_name)
    return stack


def alarm(
    stack: cdk.Stack, name: str, metric: cloudwatch.IMetric, threshold: float, periods: int
) -> cloudwatch.Alarm:
    """Return an alarm."""
    return cloudwatch.Alarm(
        stack, name, alarm_description=name, metric=metric, threshold=threshold, evaluation_periods=periods,
        treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
    )  # fmt: skip


def alarms(
    stack: cdk.Stack, balancer: elb.ApplicationLoadBalancer, targets: elb.ApplicationTargetGroup
) -> list[cloudwatch.Alarm]:
    """Return the four alarms."""
    minute = cdk.Duration.minutes(1)
    by_clone = targets.metrics.http_code_target(
        elb.HttpCodeTarget.TARGET_5XX_COUNT, period=minute, statistic="Sum"
    )
    by_balancer = balancer.metrics.http_code_elb(
        elb.HttpCodeElb.ELB_5XX_COUNT, period=minute, statistic="Sum"
    )
    unhealthy = targets.metrics.unhealthy_host_count(period=minute, statistic="Maximum")
    latency = targets.metrics.target_response_time(period=minute, statistic="p95")
    return [
        alarm(stack, "Errors", by_clone, 5, 2),
        alarm(stack, "BalancerErrors", by_balancer, 5, 2),
        alarm(stack, "Unhealthy", unhealthy, 1, 5),
        alarm(stack, "Latency", latency, 1, 3),
    ]


def group(
    stack: cdk.Stack, vpc: ec2.IVpc, template: ec2.LaunchTemplate, watched: list[cloudwatch.Alarm]
) -> autoscaling.AutoScalingGroup:
    """Return the Auto Scaling group."""
    policy = autoscaling.UpdatePolicy.instance_refresh(
        strategy=autoscaling.InstanceRefreshStrategy.ROLLING,
        min_healthy_percentage=100,
        max_healthy_percentage=200,
        instance_warmup=cdk.Duration.seconds(30),
        skip_matching=True,
        alarms=watched,
    )
    found = autoscaling.AutoScalingGroup(
        stack,
        "Clones",
        vpc=vpc,
        vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED),
        launch_template=template,
        min_capacity=int(os.environ.get("BARE_CLONES", "2")),
        max_capacity=4,
        update_policy=policy,
        group_metrics=[autoscaling.GroupMetrics.all()],
        health_checks=autoscaling.HealthChecks.with_additional_checks(
            additional_types=[autoscaling.AdditionalHealthCheckType.ELB], grace_period=cdk.Duration.minutes(5)
        ),
    )
    found.scale_on_cpu_utilization("Cpu", target_utilization_percent=60)
    return found


def front(stack: cdk.Stack, vpc: ec2.IVpc) -> tuple[elb.ApplicationLoadBalancer, elb.ApplicationTargetGroup]:
    """Return the load balancer and its target group."""
    group = ec2.SecurityGroup(stack, "Front", vpc=vpc, description="Balancer", allow_all_outbound=False)
    balancer = elb.ApplicationLoadBalancer(
        stack,
        "Balancer",
        vpc=vpc,
        internet_facing=True,
        security_group=group,
        drop_invalid_header_fields=True,
    )
    check = elb.HealthCheck(
        path="/healthz",
        healthy_http_codes="200",
        interval=cdk.Duration.seconds(10),
        timeout=cdk.Duration.seconds(5),
        healthy_threshold_count=2,
        unhealthy_threshold_count=3,
    )
    targets = elb.ApplicationTargetGroup(
        stack,
        "Targets",
        vpc=vpc,
        port=80,
        protocol=elb.ApplicationProtocol.HTTP,
        target_type=elb.TargetType.INSTANCE,
        deregistration_delay=cdk.Duration.seconds(15),
        health_check=check,
    )
    balancer.add_listener("Http", port=80, open=True, default_target_groups=[targets])
    return balancer, targets


def fleet(app: cdk.App) -> cdk.Stack:
    """Return the fleet's stack."""
    stack = Zoned(app, "BareFleet", description="Bare: clones of the golden image web")
    vpc = ec2.Vpc(
        stack, "Network", ip_addresses=ec2.IpAddresses.cidr("172.20.0.0/16"), max_azs=2, nat_gateways=0,
        restrict_default_security_group=False,
        subnet_configuration=[
            ec2.SubnetConfiguration(name="Public", subnet_type=ec2.SubnetType.PUBLIC),
            ec2.SubnetConfiguration(name="Clones", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED),
        ],
    )  # fmt: skip
    closed = ec2.SecurityGroup(stack, "Closed", vpc=vpc, description="Clones", allow_all_outbound=False)
    template = ec2.LaunchTemplate(
        stack,
        "Clone",
        machine_image=ec2.MachineImage.resolve_ssm_parameter_at_launch("/ingot/web"),
        instance_type=ec2.InstanceType("t3.small"),
        security_group=closed,
        block_devices=disk(2),
        require_imdsv2=True,
        http_put_response_hop_limit=1,
    )
    resource = template.node.default_child
    assert isinstance(resource, ec2.CfnLaunchTemplate)
    resource.add_property_override("LaunchTemplateData.ImageId", IMAGE)
    cdk.Tags.of(template).add("Name", "web")
    balancer, targets = front(stack, vpc)
    watched = alarms(stack, balancer, targets)
    clones = group(stack, vpc, template, watched)
    clones.attach_to_application_target_group(targets)
    clones.node.add_dependency(targets.load_balancer_attached)
    board = cloudwatch.Dashboard(stack, "Dashboard")
    board.add_widgets(
        cloudwatch.AlarmStatusWidget(alarms=watched),
        *(cloudwatch.GraphWidget(title=each.node.id, left=[each.metric]) for each in watched),
        cloudwatch.GraphWidget(title="Requests", left=[balancer.metrics.request_count()]),
        cloudwatch.GraphWidget(title="Healthy", left=[targets.metrics.healthy_host_count()]),
    )
    cdk.Tags.of(stack).add("recipe", "web")
    outputs = {
        "Url": f"http://{balancer.load_balancer_dns_name}",
        "AutoScalingGroupName": clones.auto_scaling_group_name,
        "LaunchTemplateId": template.launch_template_id or "",
        "RecipeName": "web",
        "RecipeDigest": DIGEST,
    }
    for name, value in outputs.items():
        cdk.CfnOutput(stack, name, value=value)
    return stack


def main() -> None:
    """Write the cloud assembly."""
    app = cdk.App(analytics_reporting=False)
    fleet(app).add_stack_dependency(builder(app))
    app.synth()


if __name__ == "__main__":
    main()
