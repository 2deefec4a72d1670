"""What a fleet's load balancer is told, what it is then, and what Elastic Load Balancing would refuse."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import Duration, Fn, Token
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elb

from ingot.constructs.fleet.options import HealthCheck, Rule, Serving
from ingot.errors import InputError

LoadBalancer = elb.IApplicationLoadBalancer | elb.INetworkLoadBalancer
TargetGroup = elb.ApplicationTargetGroup | elb.NetworkTargetGroup

INTERVAL, TIMEOUT = Duration.seconds(10), Duration.seconds(5)
# Seconds: "LoadBalancerAttribute" (idle_timeout.timeout_seconds) and "ListenerAttribute"
# (tcp.idle_timeout.seconds), Elastic Load Balancing API reference.
IDLE_OF_APPLICATIONS, IDLE_OF_NETWORKS = range(1, 4001), range(60, 6001)


@dataclass(frozen=True)
class Front:
    """A fleet's load balancer as it is made, or was given."""

    balancer: LoadBalancer
    targets: TargetGroup
    url: str

    @property
    def full_name(self) -> str:
        """The name by which metrics know the load balancer: app/NAME/ID, the end of its ARN."""
        if isinstance(self.balancer, elb.ApplicationLoadBalancer | elb.NetworkLoadBalancer):
            return self.balancer.load_balancer_full_name
        if Token.is_unresolved(self.balancer.load_balancer_arn):
            return Fn.select(1, Fn.split("loadbalancer/", self.balancer.load_balancer_arn))
        return self.balancer.load_balancer_arn.partition("loadbalancer/")[2]

    @property
    def is_network(self) -> bool:
        """Whether it balances connections instead of requests."""
        return isinstance(self.targets, elb.NetworkTargetGroup)


@dataclass(frozen=True)
class FrontOptions:
    """What a fleet's load balancer is told; where a value is None, the default of its kind counts."""

    vpc: ec2.IVpc
    serving: Serving
    check: HealthCheck
    internet_facing: bool
    deregistration_delay: Duration
    idle_timeout: Duration | None
    access_logs: Duration | None
    certificate_arn: str | None
    domain_name: str | None

    def url(self, balancer: LoadBalancer, *, scheme: str, port: int | None = None) -> str:
        """Return where the fleet is reached; ``port``: None where the scheme says it."""
        host = self.domain_name or balancer.load_balancer_dns_name
        return f"{scheme}://{host}" + ("" if port is None else f":{port}")


@dataclass(frozen=True)
class GivenBalancing:
    """A load balancer or a listener that are there already, and which of its requests are the fleet's."""

    load_balancer: LoadBalancer | None
    listener: elb.IApplicationListener | None
    rule: Rule | None

    @property
    def balancer(self) -> LoadBalancer | None:
        """The load balancer that was given, by itself or as its listener's."""
        if self.load_balancer is None and isinstance(self.listener, elb.ApplicationListener):
            return self.listener.load_balancer
        return self.load_balancer

    @property
    def encrypted(self) -> bool:
        """Whether the listener that was given speaks HTTPS, as far as its construct tells."""
        cfn = None if self.listener is None else self.listener.node.default_child
        return isinstance(cfn, elb.CfnListener) and cfn.protocol == "HTTPS"

    def check(self, where: str, serving: Serving, has_vpc: bool, certificate_arn: str | None) -> None:
        """Raise InputError for what does not go together."""
        problem = hint = None
        if self.rule is not None and self.listener is None:
            problem, hint = "rule without listener", "rule= says which requests of listener= are the fleet's"
        elif self.listener is not None and serving.transport is not None:
            problem = f"listener needs HTTP or HTTPS, not {serving.protocol}"
            hint = "give load_balancer= for a Network Load Balancer that is there: it gets a listener"
        elif self.balancer is None and self.listener is not None:
            problem = "the load balancer of an imported listener is not known"
            hint = "give load_balancer= too: alarms and the dashboard name it"
        elif self.balancer is not None and self._other_kind(serving):
            kind = "a Network" if serving.transport is None else "an Application"
            problem = f"{kind} Load Balancer with {serving.protocol}"
            hint = "HTTP and HTTPS need an Application Load Balancer, TCP and UDP a Network Load Balancer"
        elif self.balancer is not None and not has_vpc:
            problem, hint = "a load balancer without vpc", "give vpc=, the one that the load balancer is in"
        elif self.listener is not None and certificate_arn is not None:
            problem = "certificate_arn and listener exclude each other"
            hint = "leave certificate_arn out: the listener has a certificate of its own"
        elif self.rule is not None:
            problem, hint = _problem_of_rule(self.rule)
        if problem is not None:
            raise InputError(f"{where}: {problem}", hint=hint)

    def _other_kind(self, serving: Serving) -> bool:
        """Whether the load balancer is of the kind that the clones' protocol does not go with.

        The ARN of an imported one says its kind, where it is known before the deployment.
        """
        balancer = self.balancer
        assert balancer is not None  # noqa: S101 - the caller asked
        arn = balancer.load_balancer_arn
        known = not Token.is_unresolved(arn)
        if serving.transport is None:
            return isinstance(balancer, elb.NetworkLoadBalancer) or (known and "/net/" in arn)
        return isinstance(balancer, elb.ApplicationLoadBalancer) or (known and "/app/" in arn)


def _problem_of_rule(rule: Rule) -> tuple[str | None, str | None]:
    """Return what Elastic Load Balancing would refuse of a rule, and a hint."""
    values = [value for values in (*rule.conditions.values(), *rule.headers.values()) for value in values]
    if not 1 <= rule.priority <= 50000:
        return f"the priority of a rule must be from 1 to 50000, not {rule.priority}", None
    if not values:
        return (
            "the rule has no conditions",
            f"give one of {', '.join((*rule.conditions, 'headers'))}, or leave rule= out if all requests are "
            "the fleet's",
        )
    # "Quotas for your Application Load Balancers": condition values per rule.
    if len(values) > 5:
        return f"the rule has {len(values)} values; the most is 5", "split them over several rules"
    return None, None


def problem_of(serving: Serving, check: HealthCheck) -> str | None:
    """Return what Elastic Load Balancing would refuse: "Health checks" of target groups and "Edit target
    group attributes" in the user guides of Application and Network Load Balancers.
    """
    interval, timeout = ((given or usual).to_seconds() for given, usual in _times(check))
    sticky, slow = (
        None if given is None else given.to_seconds() for given in (serving.sticky, serving.slow_start)
    )
    of_requests = serving.transport is None
    rules = [
        (1 <= serving.port <= 65535, f"port must be from 1 to 65535, not {serving.port}"),
        (
            check.port is None or 1 <= check.port <= 65535,
            f"the port of the health check must be from 1 to 65535, not {check.port}",
        ),
        (
            check.path is not None or not of_requests,
            f"a health check needs a path with {serving.protocol}",
        ),
        (
            check.path is None or check.path.startswith("/"),
            f"the path of the health check must begin with /, not as {check.path!r} does",
        ),
        (5 <= interval <= 300, f"the interval of the health check must be from 5 to 300 s, not {interval:g}"),
        (2 <= timeout <= 120, f"the timeout of the health check must be from 2 to 120 s, not {timeout:g}"),
        (
            timeout < interval,
            f"the health check's timeout, {timeout:g} s, must be shorter than its interval, {interval:g} s",
        ),
        (2 <= check.healthy <= 10, f"healthy must be from 2 to 10 answers, not {check.healthy}"),
        (2 <= check.unhealthy <= 10, f"unhealthy must be from 2 to 10 answers, not {check.unhealthy}"),
        (
            of_requests or sticky is None,
            f"sticky needs HTTP or HTTPS, not {serving.protocol}: a Network Load Balancer has no cookies",
        ),
        (
            of_requests or slow is None,
            f"slow_start needs HTTP or HTTPS, not {serving.protocol}",
        ),
        (sticky is None or 1 <= sticky <= 604800, f"sticky must be from 1 second to 7 days, not {sticky} s"),
        (slow is None or 30 <= slow <= 900, f"slow_start must be from 30 to 900 s, not {slow}"),
    ]
    return next((problem for holds, problem in rules if not holds), None)


def _times(check: HealthCheck) -> list[tuple[Duration | None, Duration]]:
    return [(check.interval, INTERVAL), (check.timeout, TIMEOUT)]


def problem_of_front(options: FrontOptions, *, requests: bool) -> str | None:
    """Return what a load balancer of the kind that the clones' protocol goes with cannot do.

    ``requests``: whether the fleet's size is to follow their number.
    """
    protocol, transport = options.serving.protocol, options.serving.transport
    idle = None if options.idle_timeout is None else options.idle_timeout.to_seconds()
    times = IDLE_OF_APPLICATIONS if transport is None else IDLE_OF_NETWORKS
    if idle is not None and idle not in times:
        return f"idle_timeout must be from {times.start} to {times.stop - 1} s with {protocol}, not {idle:g}"
    if transport is None:
        return None
    if options.access_logs is not None:
        return f"access_logs needs HTTP or HTTPS, not {protocol}: connections have no requests to log"
    if requests:
        return f"scaling by requests needs HTTP or HTTPS, not {protocol}: nobody counts them"
    if transport == "udp" and options.certificate_arn is not None:
        return "certificate_arn needs TCP, not UDP"
    if transport == "udp" and idle is not None:
        return "idle_timeout needs TCP, not UDP"
    return None
