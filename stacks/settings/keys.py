"""What can be set, in environments.yaml or as CDK context: the keys, their defaults and their rules."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

from stacks.settings import readers

RecipeName = Annotated[str, BeforeValidator(readers.text(r"[a-z][a-z0-9-]{0,39}", "a recipe's name"))]
Place = Annotated[
    str,
    BeforeValidator(readers.text("auto|host|instance", "auto, host or instance")),
]
BuilderImage = Annotated[
    str,
    BeforeValidator(
        readers.text(
            r"ami-[0-9a-f]{8,17}|/[A-Za-z0-9_./-]+",
            "an AMI id, or the full name of an SSM parameter that holds one",
        )
    ),
]
InstanceType = Annotated[str, BeforeValidator(readers.instance_type)]
InstanceTypes = Annotated[tuple[str, ...], BeforeValidator(readers.listed(readers.instance_type))]
Count = Annotated[int, BeforeValidator(readers.number(0, 1000))]
Most = Annotated[int, BeforeValidator(readers.number(1, 1000))]
Seconds = Annotated[int, BeforeValidator(readers.number(0, 7200))]
ShortSeconds = Annotated[int, BeforeValidator(readers.number(0, 3600))]
StickySeconds = Annotated[int, BeforeValidator(readers.number(1, 604_800))]
Port = Annotated[int, BeforeValidator(readers.number(1, 65535))]
Protocol = Annotated[
    Literal["HTTP", "HTTPS", "TCP"],
    BeforeValidator(readers.text("HTTP|HTTPS|TCP", "HTTP, HTTPS or TCP")),
]
Strategy = Annotated[
    Literal["ROLLING", "REPLACE_ROOT_VOLUME"],
    BeforeValidator(readers.text("ROLLING|REPLACE_ROOT_VOLUME", "ROLLING or REPLACE_ROOT_VOLUME")),
]
IdleSeconds = Annotated[int, BeforeValidator(readers.number(1, 4000))]
LongSeconds = Annotated[int, BeforeValidator(readers.number(0, 172800))]
Days = Annotated[int, BeforeValidator(readers.number(1, 3650))]
Percentage = Annotated[int, BeforeValidator(readers.number(100, 200))]
Share = Annotated[int, BeforeValidator(readers.number(0, 100))]
Percentages = Annotated[tuple[int, ...], BeforeValidator(readers.percentages)]
Cpu = Annotated[int, BeforeValidator(readers.number(10, 100))]
Requests = Annotated[int, BeforeValidator(readers.number(1, 10_000_000))]
Errors = Annotated[int, BeforeValidator(readers.number(1, 1_000_000))]
Latency = Annotated[float, BeforeValidator(readers.decimal(0.01, 3600, "seconds"))]
Rate = Annotated[int, BeforeValidator(readers.number(100, 300))]
Zones = Annotated[int, BeforeValidator(readers.number(2, 6))]
Flag = Annotated[bool, BeforeValidator(readers.flag)]
Network = Annotated[str, BeforeValidator(readers.network)]
UrlPath = Annotated[str, BeforeValidator(readers.text(r"/[!-~]{0,1023}", "a path that begins with /"))]
Account = Annotated[str, BeforeValidator(readers.text(r"[0-9]{12}", "an AWS account id of 12 digits"))]
Region = Annotated[
    str, BeforeValidator(readers.text(r"[a-z]{2}(-[a-z]+)+-[0-9]", "an AWS region such as eu-central-1"))
]
Certificate = Annotated[
    str,
    BeforeValidator(
        readers.text(
            r"arn:[a-z-]+:acm:[a-z0-9-]+:[0-9]{12}:certificate/[A-Za-z0-9-]+",
            "the ARN of a certificate of ACM",
        )
    ),
]
Domain = Annotated[
    str,
    BeforeValidator(
        readers.text(
            r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}", "a host name such as www.example.com"
        )
    ),
]
Topics = Annotated[
    tuple[str, ...],
    BeforeValidator(
        readers.listed(
            readers.text(
                r"arn:[a-z-]+:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}", "the ARN of an SNS topic"
            )
        )
    ),
]
VpcId = Annotated[
    str, BeforeValidator(readers.text(r"vpc-[0-9a-f]{8,17}", "a VPC's id such as vpc-0a1b2c3d"))
]
ZoneNames = Annotated[
    tuple[str, ...],
    BeforeValidator(
        readers.listed(
            readers.text(r"[a-z]{2}(-[a-z]+)+-[0-9][a-z]", "an availability zone such as eu-central-1a")
        )
    ),
]
Subnets = Annotated[
    tuple[str, ...],
    BeforeValidator(
        readers.listed(readers.text(r"subnet-[0-9a-f]{8,17}", "a subnet's id such as subnet-0a1b2c3d"))
    ),
]


class Settings(BaseModel):
    """One deployment's settings. Every key has a default."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _none(cls, data: dict[str, object]) -> dict[str, object]:
        """Let the word none take a setting back, where it may be left out."""
        return {key: None if value == "none" else value for key, value in data.items()}

    # -- where
    account: Account | None = None
    """The account that the stacks deploy to, and no other. Default: the caller's, CDK_DEFAULT_ACCOUNT."""
    region: Region | None = None
    """The region that the stacks deploy to. Default: the caller's, CDK_DEFAULT_REGION."""

    # -- image and builder
    recipe: RecipeName = "web"
    """The recipe whose clones the fleet runs."""
    builder: Place = "auto"
    """Where images are baked: instance; host, the machine that deploys; auto: instance on AWS, else host."""
    builder_image: BuilderImage | None = None
    """What a builder instance boots: it must run user data and have python3.

    Default: Debian 12, of the recipe's architecture.
    """
    builder_instance_type: InstanceType | None = None
    """The builder instance's type. Default: c7i.large, or c7g.large for a recipe for arm64."""
    builder_vpc_cidr: Network = "172.21.0.0/24"
    """The builder's addresses; the local cloud needs them within 160.0.0.0/4."""
    test_instance_type: InstanceType | None = None
    """The type of test clones. Default: t3.small, or t4g.small for a recipe for arm64."""

    # -- clones
    instance_type: InstanceType | None = None
    """The clones' instance type. Default: t3.small, or t4g.small for a recipe for arm64."""
    more_instance_types: InstanceTypes = ()
    """Types to take when there is no capacity of the first."""
    spot_percentage: Share = 0
    """How many percent of the clones run on Spot capacity, of those beyond on_demand_base."""
    on_demand_base: Count = 0
    """So many clones are never Spot instances."""
    min_clones: Count = 2
    """The group's minimum."""
    max_clones: Most = 4
    """The group's maximum."""
    desired_clones: Count | None = None
    """The group's size, reset by each deployment. Default: left as it is, at first the minimum."""
    cpu_target: Cpu | None = 60
    """Percent of CPU that the group's size follows."""
    requests_target: Requests | None = None
    """Requests a minute and clone that the group's size follows. Default: none."""
    warm_pool: Count = 0
    """So many booted and stopped clones wait for the group to grow."""
    port: Port = 80
    """The port of clones that the load balancer sends to."""
    protocol: Protocol = "HTTP"
    """What clones speak on it; TCP: with a Network Load Balancer."""
    sticky_seconds: StickySeconds | None = None
    """For how long a visitor stays with one clone, by a cookie. Default: not at all."""
    health_path: UrlPath | None = "/healthz"
    """Answers 200 when a clone is well; none, with TCP: a connection that is accepted suffices."""
    health_grace_seconds: Seconds = 300
    """How long a new clone may take until it is well."""
    deregistration_seconds: ShortSeconds = 15
    """How long a clone that goes may finish its requests."""
    idle_timeout_seconds: IdleSeconds = 60
    """How long the load balancer keeps a connection on which nothing is sent; the clones' servers keep theirs
    longer.
    """
    volume_initialization_rate: Rate | None = None
    """MiB/s at which root volumes are filled from the snapshot.

    Default: blocks come when they are read first.
    """
    detailed_monitoring: Flag = False
    """Whether EC2 measures every minute instead of every five."""
    session_manager: Flag = False
    """Whether Session Manager may open a shell on clones; the image needs its agent."""

    # -- refresh
    warm_up_seconds: ShortSeconds = 30
    """How long after its launch a new clone counts at the earliest.

    An old one goes when it also is healthy.
    """
    refresh_strategy: Strategy = "ROLLING"
    """ROLLING starts new clones; REPLACE_ROOT_VOLUME gives running ones a root volume of the new image."""
    refresh_min_healthy_percentage: Share = 100
    """Never fewer healthy clones than this share of the group; below 100 with REPLACE_ROOT_VOLUME."""
    refresh_max_healthy_percentage: Percentage = 200
    """How far an instance refresh may exceed the group's size; 150: half of the clones at a time."""
    refresh_checkpoints: Percentages = ()
    """Percentages of replaced clones at which a refresh waits."""
    refresh_checkpoint_seconds: LongSeconds = 300
    """How long it waits at each."""
    refresh_bake_seconds: LongSeconds = 0
    """How long alarms are still watched after the last clone."""
    refresh_alarms: Flag = True
    """Whether alarms stop a refresh and roll it back; no: to deploy the fix while they are firing."""

    # -- load balancer
    certificate_arn: Certificate | None = None
    """A certificate of ACM in the same region: HTTPS is served, and HTTP leads to it. Default: HTTP."""
    domain_name: Domain | None = None
    """The name that the certificate is for and that leads to the load balancer.

    Default: the load balancer's.
    """
    access_log_days: Days | None = None
    """For how long the load balancer's access logs are kept. Default: none are written."""
    internet_facing: Flag = True
    """Whether the load balancer has public addresses."""

    # -- alarms
    alarm_errors: Errors = 5
    """Answers with 5xx in a minute, twice in a row, that fire an alarm."""
    alarm_latency_seconds: Latency = 1.0
    """How long 95 % of the answers may take, three minutes in a row."""
    alarm_topics: Topics = ()
    """SNS topics that alarms tell."""
    dashboard: Flag = True
    """Whether there is a dashboard."""

    # -- network
    vpc_id: VpcId | None = None
    """A VPC that is there; it needs vpc_zones, public_subnets and clone_subnets. Default: one of its own."""
    vpc_zones: ZoneNames = ()
    """The zones of the given VPC's subnets."""
    public_subnets: Subnets = ()
    """The load balancer's subnets, one in each of vpc_zones, in their order."""
    clone_subnets: Subnets = ()
    """The clones' subnets, likewise."""
    zones: Zones = 2
    """Over how many zones its own VPC spreads."""
    zone_names: ZoneNames = ()
    """The zones of its own VPC by name, as many as zones.

    Default: the region's first ones, which may be fewer, or lack the instance type.
    """
    egress: Flag = False
    """Whether clones may reach the Internet, in the fleet's own VPC by a NAT gateway."""
    vpc_cidr: Network = "172.20.0.0/16"
    """The fleet's addresses; the local cloud needs them within 160.0.0.0/4."""
