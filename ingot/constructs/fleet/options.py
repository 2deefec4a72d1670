"""What a fleet may be told besides its image: each with a default that suits a small site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from aws_cdk import Duration
from aws_cdk import aws_autoscaling as autoscaling
from aws_cdk import aws_ec2 as ec2


@dataclass(frozen=True)
class HealthCheck:
    """How the load balancer asks whether a clone is well."""

    path: str | None = "/healthz"
    """What it asks for. None, where clones serve TCP or UDP: a connection that is accepted suffices."""
    codes: str = "200"
    """The statuses of a clone that is well: 200, 200-299 or 200,302."""
    interval: Duration | None = None
    """Between two requests. Default: 10 seconds."""
    timeout: Duration | None = None
    """For an answer; shorter than ``interval``. Default: 5 seconds."""
    healthy: int = 2
    """So many good answers in a row make a clone healthy; 2 to 10."""
    unhealthy: int = 3
    """So many bad ones in a row make it unhealthy; 2 to 10."""
    port: int | None = None
    """Where it asks. Default: where clones serve."""


@dataclass(frozen=True)
class Serving:
    """How clones serve, and how a load balancer spreads requests or connections over them."""

    port: int = 80
    """The port of clones that the load balancer sends to."""
    protocol: Literal["HTTP", "HTTPS", "TCP", "UDP"] = "HTTP"
    """What clones speak on it. HTTP and HTTPS have an Application Load Balancer, which takes any certificate
    of theirs; TCP and UDP have a Network Load Balancer.
    """
    sticky: Duration | None = None
    """For how long a visitor stays with one clone, by a cookie; 1 second to 7 days. Default: not at all."""
    slow_start: Duration | None = None
    """In which a new clone's share of requests grows; 30 seconds to 15 minutes. Default: at once."""
    balanced: bool = True
    """Whether there is a load balancer. Without one, EC2 alone says whether a clone is well, and nobody comes
    in but what ``fleet.connections`` lets in: for workers that fetch what they do.
    """

    @property
    def transport(self) -> Literal["tcp", "udp"] | None:
        """What a Network Load Balancer balances; None: an Application Load Balancer balances requests."""
        kinds: dict[str, Literal["tcp", "udp"]] = {"TCP": "tcp", "UDP": "udp"}
        return kinds.get(self.protocol)

    @property
    def traffic(self) -> ec2.Port:
        """The port as rules of security groups say it."""
        return ec2.Port.udp(self.port) if self.transport == "udp" else ec2.Port.tcp(self.port)


@dataclass(frozen=True)
class Rule:
    """Which requests to a listener that was given are the fleet's: those that meet all the conditions.

    A condition is met by any of its values; five values in all.
    """

    priority: int
    """Rules are asked in ascending order; each priority once in a listener; 1 to 50000."""
    hosts: tuple[str, ...] = ()
    """Host names; * and ? stand for other characters. Default: any."""
    paths: tuple[str, ...] = ()
    """Paths, such as /api/*. Default: any."""
    methods: tuple[str, ...] = ()
    """Methods, such as POST. Default: any."""
    source_ips: tuple[str, ...] = ()
    """Networks that requests come from, such as 192.0.2.0/24. Default: any."""
    headers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Headers by name, such as ``{"X-Tenant": ("acme",)}``. Default: any."""

    @property
    def conditions(self) -> dict[str, tuple[str, ...]]:
        """The values by condition, without headers."""
        return {
            "hosts": self.hosts,
            "paths": self.paths,
            "methods": self.methods,
            "source_ips": self.source_ips,
        }


@dataclass(frozen=True)
class Schedule:
    """Sizes that the group gets at certain times."""

    cron: str
    """When: minute, hour, day of month, month, day of week, such as ``30 7 * * MON-FRI``."""
    time_zone: str = "Etc/UTC"
    """By whose clock, such as Europe/Berlin."""
    min_clones: int | None = None
    """The group's minimum from then on. Default: left as it is."""
    max_clones: int | None = None
    """Its maximum. Default: left as it is."""
    desired_clones: int | None = None
    """Its size. Default: left as it is, within the new bounds."""


@dataclass(frozen=True)
class Hook:
    """A lifecycle hook: a clone waits while something is done before it serves, or before it ends."""

    when: Literal["LAUNCHING", "TERMINATING"]
    """Before it is in service, or before it is terminated."""
    timeout: Duration | None = None
    """How long it waits to be completed; 30 seconds to 2 hours. Default: 5 minutes."""
    result: Literal["CONTINUE", "ABANDON"] = "CONTINUE"
    """What happens after ``timeout``; ABANDON ends a clone that is launching."""
    by_clones: bool = False
    """Whether clones complete it themselves, which their role may do then."""
    notify: autoscaling.ILifecycleHookTarget | None = None
    """A queue or topic that is told. Default: EventBridge alone."""


@dataclass(frozen=True)
class Refresh:
    """How a new image replaces an old one: by an instance refresh."""

    min_healthy_percentage: int = 100
    """Never fewer healthy clones than this share of the group; below 100 with REPLACE_ROOT_VOLUME."""
    max_healthy_percentage: int = 200
    """Never more clones than this: 200 starts all the new ones at once, 150 half of them.

    REPLACE_ROOT_VOLUME starts none.
    """
    warm_up: Duration | None = None
    """How long after its launch a new clone counts at the earliest; an old one goes when it also is healthy.

    Default: 30 seconds.
    """
    checkpoints: tuple[int, ...] = ()
    """Percentages of replaced clones at which it waits; ascending.

    The last one, 100, is added. Default: none.
    """
    checkpoint_delay: Duration | None = None
    """How long it waits at each checkpoint. Default: 5 minutes."""
    bake_time: Duration | None = None
    """How long alarms are still watched after the last clone. Default: none."""
    watch_alarms: bool = True
    """Whether the fleet's alarms stop it, whereupon CloudFormation rolls back.

    No: to deploy the fix while they are firing.
    """
    strategy: Literal["ROLLING", "REPLACE_ROOT_VOLUME"] = "ROLLING"
    """ROLLING starts new clones; REPLACE_ROOT_VOLUME gives the running ones a root volume of the new image.

    The latter keeps addresses, other volumes and capacity. It can change nothing but the image: a deployment
    with another change of the launch template fails.
    """


@dataclass(frozen=True)
class Alarms:
    """When the fleet's alarms fire. All look at one-minute periods."""

    errors: int = 5
    """Answers with 5xx in a minute, two minutes in a row: from clones, or from the load balancer itself."""
    latency: Duration | None = None
    """How long 95 % of the answers may take, three minutes in a row. Default: 1 second."""
    topics: tuple[str, ...] = ()
    """ARNs of SNS topics that are told, of the end as well. Default: none."""
    latency_requests: int = 60
    """How many requests a minute must have for its latency to count: in a quieter one, a single answer would.
    """


@dataclass(frozen=True)
class Scaling:
    """What the group's size follows, between its bounds.

    With both, the one that asks for more clones wins.
    """

    cpu: int | None = 60
    """Percent of CPU that clones use on average."""
    requests: int | None = None
    """Requests a minute that each clone gets."""


@dataclass(frozen=True)
class Spot:
    """How much of the group runs on Spot capacity, which EC2 takes back with two minutes' notice."""

    percentage: int = 50
    """Of the clones beyond ``on_demand_base``."""
    on_demand_base: int = 1
    """So many clones are never Spot instances."""


@dataclass(frozen=True)
class WarmPool:
    """Clones that have booted already and wait for the group to grow.

    EC2 bills the volumes of stopped ones.
    """

    size: int = 1
    """At least so many wait."""
    running: bool = False
    """Whether they wait as running machines, which are billed as such."""
    reuse: bool = False
    """Whether clones go back to the pool when the group shrinks.

    A clone of the pool has served before, then.
    """
