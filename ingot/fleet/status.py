"""The fleet as it is now: its clones, what they were launched from, and whether they serve."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ingot.aws.registry.identity import AmiIdentity
from ingot.aws.session import tags
from ingot.aws.session.stacks import stack_outputs
from ingot.errors import IngotError, InputError
from ingot.quantities import number

if TYPE_CHECKING:
    from mypy_boto3_autoscaling.type_defs import AutoScalingGroupTypeDef
    from mypy_boto3_ec2.type_defs import ImageTypeDef, InstanceTypeDef

    from ingot.aws.session.clients import Clients

OUTPUTS = ("AutoScalingGroupName", "RecipeDigest", "RecipeName")
# Instead of the group's name: the stack has a single clone.
SINGLE = "InstanceId"
# Refreshes in these states change clones:
# https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_InstanceRefresh.html
RUNNING = frozenset({"Pending", "InProgress", "Cancelling", "RollbackInProgress", "Baking"})
UNKNOWN = "unknown"
# How many of the clones that are waited for the reasons name.
NAMED = 8
# The most values that a filter takes: EC2 API reference, "Filter" ("up to 200 filter values").
FILTER_VALUES = 200


@dataclass(frozen=True)
class Clone:
    """One instance of the group.

    ``health`` is that of the load balancer's target; ``digest`` and ``inventory`` come from the AMI's tags.
    ``launched``: when EC2 started it, Unix seconds; None when EC2 does not know it. ``inventory``: the
    digests of what its image holds, by section; empty when the AMI does not say. ``host``: the host name that
    EC2 gives it, without its domain.
    """

    instance_id: str
    ami_id: str
    version: str
    lifecycle: str
    health: str
    recipe: str
    digest: str
    launched: float | None = None
    inventory: dict[str, str] = field(default_factory=dict)
    host: str = UNKNOWN
    identity: AmiIdentity | None = None

    @property
    def serves(self) -> bool:
        """Whether it is in service, and the load balancer finds it healthy."""
        return self.lifecycle == "InService" and self.health == "healthy"


@dataclass(frozen=True)
class InstanceRefresh:
    """The group's newest instance refresh; ``percentage`` of clones that are replaced.

    ``started``: Unix seconds; None when AWS does not say. ``checkpoints``: percentages at which it pauses.
    """

    id: str
    status: str
    percentage: int
    reason: str
    started: float | None = None
    checkpoints: tuple[int, ...] = ()

    @property
    def running(self) -> bool:
        """Whether it still changes clones."""
        return self.status in RUNNING

    def seconds_left(self, now: float) -> float | None:
        """Return how many seconds it takes from ``now`` on, Unix seconds, if it goes on as before; None where
        nothing tells.
        """
        if not self.running or self.started is None or not 0 < self.percentage < 100:
            return None
        return max(0.0, now - self.started) * (100 - self.percentage) / self.percentage


@dataclass(frozen=True)
class FleetStatus:
    """The fleet of one stack, or its single clone, which has no ``group`` and no ``version``.

    ``url``: where its load balancer serves, None without one; ``version`` is the launch template version that
    clones should have; ``account`` owns the group.
    """

    stack: str
    url: str | None
    group: str
    recipe: str
    digest: str
    desired: int
    version: str
    clones: tuple[Clone, ...]
    refresh: InstanceRefresh | None
    account: str = ""

    @property
    def steady(self) -> bool:
        """Whether there is nothing to wait for: all clones are newest and serve, and no refresh runs."""
        return not self.reasons()

    def reasons(self) -> list[str]:
        """Return, in words, why the fleet is not steady."""
        serving = [clone for clone in self.clones if clone.serves and clone.version == self.version]
        reasons = []
        if self.refresh is not None and self.refresh.running:
            reasons.append(f"refresh {self.refresh.status}, {self.refresh.percentage} %")
        if len(serving) < self.desired:
            which = f" of version {self.version}" if self.version else ""
            reasons.append(f"{len(serving)} of {self.desired} clones{which} serve")
        new = {clone.instance_id for clone in serving}
        others = [clone for clone in self.clones if clone.instance_id not in new]
        for c in others[:NAMED]:
            which = f" version {c.version}" if c.version else ""
            reasons.append(f"{c.instance_id}{which} {c.lifecycle} {c.health}")
        if len(others) > NAMED:
            reasons.append(f"{number(len(others) - NAMED, 'other clone')} like these")
        return reasons

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON's types."""
        return {**asdict(self), "steady": self.steady}


def fleet_status(clients: Clients, stack: str) -> FleetStatus:
    """Look at the fleet of a stack, or at its single clone.

    Raises InputError when there is no such stack, IngotError when it lacks its outputs or its group.
    """
    outputs = stack_outputs(clients, stack)
    if outputs is not None and SINGLE in outputs and {*OUTPUTS[1:]} <= outputs.keys():
        return _single(clients, stack, outputs)
    missing = [key for key in OUTPUTS if key not in (outputs or {})]
    if outputs is None or missing:
        what = "is not deployed" if outputs is None else f"lacks the outputs {', '.join(missing)}"
        kind = InputError if outputs is None else IngotError
        raise kind(
            f"the stack {stack} {what} in {clients.region}", hint=f"deploy it: ingot deploy --stack {stack}"
        )
    name = outputs["AutoScalingGroupName"]
    groups = clients.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])[
        "AutoScalingGroups"
    ]
    if not groups:
        raise IngotError(
            f"the Auto Scaling group {name} of the stack {stack} is gone",
            hint=f"ingot deploy --stack {stack}",
        )
    group = groups[0]
    return FleetStatus(
        stack=stack,
        url=outputs.get("Url"),
        group=name,
        recipe=outputs["RecipeName"],
        digest=outputs["RecipeDigest"],
        desired=group["DesiredCapacity"],
        version=_wanted_version(clients, group),
        clones=_clones(clients, group),
        refresh=_newest_refresh(clients, name),
        # arn:aws:autoscaling:REGION:ACCOUNT:autoScalingGroup:…
        account=group["AutoScalingGroupARN"].split(":")[4],
    )


def _single(clients: Clients, stack: str, outputs: Mapping[str, str]) -> FleetStatus:
    """Look at the single clone of a stack, of which EC2 alone knows whether it is well."""
    pages = clients.ec2.get_paginator("describe_instances").paginate(
        Filters=[{"Name": "instance-id", "Values": [outputs[SINGLE]]}]
    )
    reservations = [reservation for page in pages for reservation in page["Reservations"]]
    if not reservations:
        raise IngotError(
            f"the clone {outputs[SINGLE]} of the stack {stack} is gone",
            hint=f"ingot deploy --stack {stack}",
        )
    [instance] = reservations[0]["Instances"]
    state = instance["State"]["Name"]
    image = _images(clients, {instance["ImageId"]}).get(instance["ImageId"])
    lifecycle, health = ("InService", "healthy") if state == "running" else (state, "unhealthy")
    return FleetStatus(
        stack=stack,
        url=None,
        group="",
        recipe=outputs["RecipeName"],
        digest=outputs["RecipeDigest"],
        desired=1,
        version="",
        clones=(
            _clone(
                outputs[SINGLE], _described(instance), image, version="", lifecycle=lifecycle, health=health
            ),
        ),
        refresh=None,
        account=reservations[0]["OwnerId"],
    )


def _wanted_version(clients: Clients, group: AutoScalingGroupTypeDef) -> str:
    """Return the number of the launch template version that new clones get."""
    template = group.get("LaunchTemplate")
    if template is None:
        mixed = group.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {})
        template = mixed.get("LaunchTemplateSpecification", {})
    version = template.get("Version", "$Default")
    if not version.startswith("$") or "LaunchTemplateId" not in template:
        return version
    found = clients.ec2.describe_launch_template_versions(
        LaunchTemplateId=template["LaunchTemplateId"], Versions=[version]
    )["LaunchTemplateVersions"]
    return str(found[0]["VersionNumber"]) if found else version


def _clones(clients: Clients, group: AutoScalingGroupTypeDef) -> tuple[Clone, ...]:
    members = group["Instances"]
    health = _target_health(clients, group.get("TargetGroupARNs", []))
    instances = described_instances(clients, [member["InstanceId"] for member in members])
    images = _images(clients, {instance.ami_id for instance in instances.values()})
    clones = []
    for member in members:
        identifier = member["InstanceId"]
        instance = instances.get(identifier)
        image = None if instance is None else images.get(instance.ami_id)
        # A group without a load balancer has EC2's word only.
        fallback = member["HealthStatus"].lower() if not group.get("TargetGroupARNs") else "unregistered"
        clones.append(
            _clone(
                identifier,
                instance,
                image,
                version=member.get("LaunchTemplate", {}).get("Version", UNKNOWN),
                lifecycle=member["LifecycleState"],
                health=health.get(identifier, fallback),
            )
        )
    return tuple(sorted(clones, key=lambda clone: (clone.version, clone.instance_id)))


def _clone(
    identifier: str, instance: DescribedInstance | None, image: ImageTypeDef | None, **said: str
) -> Clone:
    """Return a clone; ``said``: what its group and the load balancer say of it, by its fields' names."""
    values = {} if image is None else tags.tags_of(image)
    return Clone(
        instance_id=identifier,
        ami_id=UNKNOWN if instance is None else instance.ami_id,
        recipe=values.get(tags.RECIPE, UNKNOWN),
        digest=values.get(tags.DIGEST, UNKNOWN),
        launched=None if instance is None else instance.launched,
        inventory=tags.inventory_of(values),
        host=UNKNOWN if instance is None else instance.host,
        identity=None if image is None else AmiIdentity.of(image),
        **said,
    )


def _target_health(clients: Clients, target_groups: Iterable[str]) -> dict[str, str]:
    """Return each target's state; the worst one when an instance is in several target groups."""
    health: dict[str, str] = {}
    for arn in target_groups:
        for target in clients.elbv2.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]:
            identifier, state = target["Target"]["Id"], str(target["TargetHealth"]["State"])
            if health.get(identifier, "healthy") == "healthy":
                health[identifier] = state
    return health


@dataclass(frozen=True)
class DescribedInstance:
    """What EC2 says of an instance; ``launched``: Unix seconds; ``host``: its name, without the domain."""

    ami_id: str
    launched: float
    host: str


def described_instances(clients: Clients, instance_ids: list[str]) -> dict[str, DescribedInstance]:
    """Return the instances as EC2 describes them, by id.

    Asked by a filter: an id that EC2 just forgot is no error then.
    """
    found: dict[str, DescribedInstance] = {}
    pages = clients.ec2.get_paginator("describe_instances")
    for start in range(0, len(instance_ids), FILTER_VALUES):
        some = instance_ids[start : start + FILTER_VALUES]
        for page in pages.paginate(Filters=[{"Name": "instance-id", "Values": some}]):
            for reservation in page["Reservations"]:
                # EC2's answer for 1,000 instances is tens of MiB.
                found |= {i["InstanceId"]: _described(i) for i in reservation["Instances"]}
    return found


def _described(instance: InstanceTypeDef) -> DescribedInstance:
    host = instance.get("PrivateDnsName", "").partition(".")[0] or UNKNOWN
    return DescribedInstance(instance["ImageId"], instance["LaunchTime"].timestamp(), host)


def _images(clients: Clients, ami_ids: set[str]) -> dict[str, ImageTypeDef]:
    """Return the AMIs as EC2 describes them, by id."""
    if not ami_ids:
        return {}
    answer = clients.ec2.describe_images(Filters=[{"Name": "image-id", "Values": sorted(ami_ids)}])
    return {image["ImageId"]: image for image in answer["Images"]}


def _newest_refresh(clients: Clients, group: str) -> InstanceRefresh | None:
    found = clients.autoscaling.describe_instance_refreshes(AutoScalingGroupName=group, MaxRecords=1)
    for refresh in found["InstanceRefreshes"]:
        return InstanceRefresh(
            id=refresh["InstanceRefreshId"],
            status=refresh["Status"],
            percentage=refresh.get("PercentageComplete", 0),
            reason=refresh.get("StatusReason", ""),
            started=None if (time := refresh.get("StartTime")) is None else time.timestamp(),
            checkpoints=tuple(refresh.get("Preferences", {}).get("CheckpointPercentages", ())),
        )
    return None
