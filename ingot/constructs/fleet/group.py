"""A fleet's machines: the launch template, the Auto Scaling group, how it grows and how it is refreshed."""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aws_cdk import Annotations, Duration, Fn, Tags
from aws_cdk import aws_autoscaling as autoscaling
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct

from ingot.constructs.audit import departs
from ingot.constructs.fleet.options import Hook, Refresh, Scaling, Schedule, Spot, WarmPool
from ingot.constructs.fleet.volumes import root_volumes
from ingot.constructs.image.golden_image import GoldenImage
from ingot.errors import InputError

MOST_ALARMS = 10  # of an instance refresh (AlarmSpecification)
MOST_TYPES = 40  # of a mixed instances policy
WARM_UP = Duration.seconds(30)
HOOK = Duration.minutes(5)
# "Quotas for your Application Load Balancers" (Elastic Load Balancing user guide): "Targets per Application
# Load Balancer" and "Targets per Target Group per Region (instances or IP addresses)" are 1,000 each, unless
# the account has them raised.
MOST_TARGETS = 1000


@dataclass(frozen=True)
class Size:
    """Bounds of the group; ``desired`` None leaves the size as it is."""

    minimum: int
    desired: int | None
    maximum: int

    def check(self, where: str) -> None:
        """Raise InputError when the bounds contradict each other."""
        wanted = self.minimum if self.desired is None else self.desired
        if not 0 <= self.minimum <= wanted <= self.maximum:
            raise InputError(
                f"{where}: min {self.minimum}, desired {wanted}, max {self.maximum} clones; "
                "expected 0 <= min <= desired <= max"
            )


@dataclass(frozen=True)
class Machine:
    """What each clone is launched with, besides its image."""

    instance_type: str
    volume_initialization_rate: int | None
    """MiB/s, 100 to 300."""
    detailed_monitoring: bool
    user_data: str | None
    """Not encoded; tokens may be in it."""
    volumes: Sequence[ec2.BlockDevice] = ()
    """Those beside the root volume."""


@dataclass(frozen=True)
class GroupOptions:
    """Where a group of clones is, what it is made of, and how it is replaced."""

    name: str
    vpc: ec2.IVpc
    subnets: ec2.SubnetSelection
    size: Size
    types: tuple[str, ...]
    """Instance types, the preferred one first."""
    spot: Spot | None
    health_grace: Duration
    update_policy: autoscaling.UpdatePolicy
    metrics: bool
    balanced: bool
    """Whether a load balancer says, too, whether a clone is well."""
    in_place: str | None
    """The AMI whose root volumes running clones are given; None: new clones are launched."""


def launch_template(
    scope: Construct, image: GoldenImage, machine: Machine, *, groups: Sequence[ec2.ISecurityGroup]
) -> ec2.LaunchTemplate:
    """Return what clones are launched from: no key pair, IMDSv2 alone."""
    template = ec2.LaunchTemplate(
        scope,
        "Clone",
        machine_image=image,
        instance_type=ec2.InstanceType(machine.instance_type),
        security_group=groups[0],
        block_devices=[
            *root_volumes(image, initialization_rate=machine.volume_initialization_rate),
            *machine.volumes,
        ]
        or None,
        detailed_monitoring=machine.detailed_monitoring or None,
        require_imdsv2=True,
        http_put_response_hop_limit=1,
    )
    for group in groups[1:]:
        template.add_security_group(group)
    # The CDK writes the image's empty user data; without the key, a clone's metadata says that there is none.
    cfn = template.node.default_child
    assert isinstance(cfn, ec2.CfnLaunchTemplate)  # noqa: S101 - what the construct is made of
    if machine.user_data is None:
        cfn.add_property_deletion_override("LaunchTemplateData.UserData")
    else:
        cfn.add_property_override("LaunchTemplateData.UserData", Fn.base64(machine.user_data))
    Tags.of(template).add("Name", f"ingot-{image.recipe.name}")
    return template


def _mixed_instances(
    template: ec2.LaunchTemplate, types: tuple[str, ...], spot: Spot | None
) -> autoscaling.MixedInstancesPolicy:
    """Return the policy of a group of several instance types, or with Spot capacity."""
    overrides = [
        autoscaling.LaunchTemplateOverrides(instance_type=ec2.InstanceType(name))
        for name in types[:MOST_TYPES]
    ]
    distribution = autoscaling.InstancesDistribution(
        on_demand_base_capacity=0 if spot is None else spot.on_demand_base,
        on_demand_percentage_above_base_capacity=100 if spot is None else 100 - spot.percentage,
        spot_allocation_strategy=None
        if spot is None
        else autoscaling.SpotAllocationStrategy.PRICE_CAPACITY_OPTIMIZED,
    )
    return autoscaling.MixedInstancesPolicy(
        launch_template=template, launch_template_overrides=overrides, instances_distribution=distribution
    )


def warn_of_targets(scope: Construct, size: Size, refresh: Refresh) -> None:
    """Warn when a refresh of the group at its largest registers more targets than the quota allows.

    Auto Scaling goes on launching clones then, and Elastic Load Balancing refuses them (TooManyTargets): the
    refresh stands still until it fails.
    """
    share = refresh.max_healthy_percentage if refresh.strategy == "ROLLING" else 100
    most = size.maximum * share // 100
    if most > MOST_TARGETS:
        Annotations.of(scope).add_warning_v2(
            "ingot:TargetsQuota",
            f"{size.maximum} clones and a refresh up to {share} % are {most} targets at a time; the quota of "
            f"a load balancer is {MOST_TARGETS} unless your account has it raised: lower max_clones or "
            "max_healthy_percentage, or ask for more and acknowledge this warning",
        )


def update_policy(refresh: Refresh, alarms: list[cloudwatch.Alarm]) -> autoscaling.UpdatePolicy:
    """Return how CloudFormation replaces the clones."""
    rolling = refresh.strategy == "ROLLING"
    checkpoints = sorted({*refresh.checkpoints, 100}) if refresh.checkpoints else None
    delay = refresh.checkpoint_delay or Duration.minutes(5)
    return autoscaling.UpdatePolicy.instance_refresh(
        strategy=autoscaling.InstanceRefreshStrategy[refresh.strategy],
        min_healthy_percentage=refresh.min_healthy_percentage,
        max_healthy_percentage=refresh.max_healthy_percentage if rolling else None,
        instance_warmup=refresh.warm_up or WARM_UP,
        checkpoint_percentages=checkpoints,
        checkpoint_delay=delay if checkpoints else None,
        bake_time=refresh.bake_time,
        skip_matching=True,
        alarms=alarms[:MOST_ALARMS] if refresh.watch_alarms else None,
    )


def clone_group(
    scope: Construct, template: ec2.LaunchTemplate, options: GroupOptions
) -> autoscaling.AutoScalingGroup:
    """Return the group; a clone is well when EC2 and, if there is one, the load balancer say so."""
    mixed = None
    if len(options.types) > 1 or options.spot is not None or options.in_place is not None:
        mixed = _mixed_instances(template, options.types, options.spot)
    group = autoscaling.AutoScalingGroup(
        scope,
        "Group",
        vpc=options.vpc,
        vpc_subnets=options.subnets,
        launch_template=None if mixed else template,
        mixed_instances_policy=mixed,
        min_capacity=options.size.minimum,
        max_capacity=options.size.maximum,
        desired_capacity=options.size.desired,
        capacity_rebalance=options.spot is not None or None,
        group_metrics=[autoscaling.GroupMetrics.all()] if options.metrics else None,
        health_checks=autoscaling.HealthChecks.with_additional_checks(
            additional_types=[autoscaling.AdditionalHealthCheckType.ELB], grace_period=options.health_grace
        )
        if options.balanced
        else autoscaling.HealthChecks.ec2(grace_period=options.health_grace),
        update_policy=options.update_policy,
    )
    Tags.of(group).add("Name", options.name)
    if options.in_place is not None:
        # "Replace root volumes during instance refresh", Auto Scaling user guide: a mixed instances policy,
        # and the AMI in each of its overrides. The CDK's overrides have no AMI.
        cfn = group.node.default_child
        assert isinstance(cfn, autoscaling.CfnAutoScalingGroup)  # noqa: S101 - what the construct is made of
        for number in range(len(options.types[:MOST_TYPES])):
            place = f"MixedInstancesPolicy.LaunchTemplate.Overrides.{number}.ImageId"
            cfn.add_property_override(place, options.in_place)
    if mixed is not None:
        departs(
            group,
            "CdkNagValidationFailure",
            "The rule AwsSolutions-EC26 looks for the launch template beside the mixed instances policy; "
            "its volumes are encrypted.",
        )
    departs(
        group,
        "AwsSolutions-AS3",
        "Replacing clones is routine; who wants to be told subscribes to the alarms or to the group's "
        "EventBridge events.",
    )
    return group


def follow_load(
    group: autoscaling.AutoScalingGroup, scaling: Scaling, warm_up: Duration | None, targets: str | None
) -> None:
    """Have the group's size follow its load, by target tracking; a clone counts when it has warmed up.

    ``targets``: the full names of the load balancer and its target group, with a slash between them; None
    where nobody counts requests.
    """
    warm_up = warm_up or WARM_UP
    if scaling.cpu is not None:
        group.scale_on_cpu_utilization(
            "Cpu", target_utilization_percent=scaling.cpu, estimated_instance_warmup=warm_up
        )
    if scaling.requests is not None and targets is not None:
        policy = group.scale_on_request_count(
            "Requests", target_requests_per_minute=scaling.requests, estimated_instance_warmup=warm_up
        )
        # The CDK takes the names out of the listener's ARN, by four splits.
        cfn = policy.node.default_child
        assert isinstance(cfn, autoscaling.CfnScalingPolicy)  # noqa: S101 - what the construct is made of
        metric = "TargetTrackingConfiguration.PredefinedMetricSpecification"
        cfn.add_property_override(f"{metric}.ResourceLabel", targets)


def follow_clock(group: autoscaling.AutoScalingGroup, schedules: Mapping[str, Schedule]) -> None:
    """Give the group other bounds or another size at certain times."""
    for name, schedule in schedules.items():
        group.scale_on_schedule(
            name,
            schedule=autoscaling.Schedule.expression(schedule.cron),
            time_zone=schedule.time_zone,
            min_capacity=schedule.min_clones,
            max_capacity=schedule.max_clones,
            desired_capacity=schedule.desired_clones,
        )


def problem_of_schedules(schedules: Mapping[str, Schedule]) -> str | None:
    """Return what Auto Scaling would refuse: "Scheduled scaling", user guide."""
    for name, schedule in schedules.items():
        sizes = [
            size
            for size in (schedule.min_clones, schedule.desired_clones, schedule.max_clones)
            if size is not None
        ]
        if not sizes:
            return f"the schedule {name} sets none of min_clones, max_clones and desired_clones"
        if sizes != sorted(sizes) or sizes[0] < 0:
            return (
                f"the schedule {name} has the sizes {', '.join(map(str, sizes))}: "
                "0 <= min_clones <= desired_clones <= max_clones must hold"
            )
        if len(schedule.cron.split()) != 5:
            return (
                f"the schedule {name}: {schedule.cron!r} is not a cron expression of five fields, such as "
                "'30 7 * * MON-FRI'"
            )
        if schedule.time_zone not in zoneinfo.available_timezones():
            return f"the schedule {name}: unknown time zone {schedule.time_zone!r}; one is Europe/Berlin"
    return None


def add_hooks(group: autoscaling.AutoScalingGroup, hooks: Mapping[str, Hook]) -> None:
    """Have clones wait for somebody's word before they serve, or before they end."""
    for name, hook in hooks.items():
        group.add_lifecycle_hook(
            name,
            lifecycle_transition=autoscaling.LifecycleTransition[f"INSTANCE_{hook.when}"],
            default_result=autoscaling.DefaultResult[hook.result],
            heartbeat_timeout=hook.timeout or HOOK,
            notification_target=hook.notify,
        )


def let_clones_complete(scope: Construct, role: iam.IRole, group: autoscaling.AutoScalingGroup) -> None:
    """Let clones say that a hook of their own group is done.

    By a policy of its own: the launch template waits for the role's, and the group for the launch template.
    """
    complete = iam.PolicyStatement(
        sid="CompleteHooks",
        actions=["autoscaling:CompleteLifecycleAction"],
        resources=[group.auto_scaling_group_arn],
    )
    role.attach_inline_policy(iam.Policy(scope, "CompleteHooks", statements=[complete]))


def problem_of_hooks(hooks: Mapping[str, Hook]) -> str | None:
    """Return what Auto Scaling would refuse: PutLifecycleHook, API reference."""
    for name, hook in hooks.items():
        seconds = (hook.timeout or HOOK).to_seconds()
        if not 30 <= seconds <= 7200:
            return f"the timeout of the hook {name} must be from 30 to 7200 s, not {seconds:g}"
    return None


def keep_warm(group: autoscaling.AutoScalingGroup, pool: WarmPool) -> None:
    """Have booted clones wait beside the group."""
    state = autoscaling.PoolState.RUNNING if pool.running else autoscaling.PoolState.STOPPED
    group.add_warm_pool(min_size=pool.size, pool_state=state, reuse_on_scale_in=pool.reuse)
