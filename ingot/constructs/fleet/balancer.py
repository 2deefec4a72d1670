"""A fleet's load balancer: who comes in, by which protocol, and what is written down of it."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import Duration, Fn, Stack, Token
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from ingot.constructs.audit import departs
from ingot.constructs.fleet.options import HealthCheck, Rule, Serving
from ingot.errors import InputError


def load_balancer_of_fleet(
    scope: Construct,
    *,
    vpc: ec2.IVpc,
    internet_facing: bool,
    idle_timeout: Duration,
    access_logs: Duration | None,
) -> elb.ApplicationLoadBalancer:
    """Return an Application Load Balancer without listeners.

    ``idle_timeout``: how long a connection without traffic is kept; ``access_logs``: how long they are kept.
    """
    group = ec2.SecurityGroup(
        scope,
        "BalancerGroup",
        vpc=vpc,
        description="Load balancer: HTTP comes in, and goes to the clones alone",
        allow_all_outbound=False,
    )
    departs(
        group,
        "AwsSolutions-EC23",
        "The load balancer serves everybody on its listeners' ports; clones take connections from it alone.",
    )
    balancer = elb.ApplicationLoadBalancer(
        scope,
        "Balancer",
        vpc=vpc,
        internet_facing=internet_facing,
        security_group=group,
        drop_invalid_header_fields=True,
        idle_timeout=idle_timeout,
    )
    if access_logs is not None:
        _write_access_logs(scope, balancer, access_logs)
    else:
        departs(
            balancer,
            "AwsSolutions-ELB2",
            "Access logs are the owner's choice, access_logs=: who visited is personal data; errors are "
            "counted by the alarms.",
        )
    return balancer


def _write_access_logs(scope: Construct, balancer: elb.ApplicationLoadBalancer, kept: Duration) -> None:
    """Have access logs written to a bucket of their own, which stays when the stack goes.

    The CDK's own method needs to know the region; the service principal serves in every one (ELB user guide,
    "Enable access logs for your Application Load Balancer", bucket policy). The only encryption that is
    supported is S3's own.
    """
    bucket = s3.Bucket(
        scope,
        "AccessLogs",
        encryption=s3.BucketEncryption.S3_MANAGED,
        enforce_ssl=True,
        minimum_tls_version=1.2,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
        lifecycle_rules=[s3.LifecycleRule(expiration=kept)],
    )
    departs(bucket, "AwsSolutions-S1", "It holds access logs itself; a log of these would grow without end.")
    bucket.add_to_resource_policy(
        iam.PolicyStatement(
            sid="WriteAccessLogs",
            principals=[iam.ServicePrincipal("logdelivery.elasticloadbalancing.amazonaws.com")],
            actions=["s3:PutObject"],
            resources=[bucket.arn_for_objects(f"AWSLogs/{Stack.of(scope).account}/*")],
        )
    )
    balancer.set_attribute("access_logs.s3.enabled", "true")
    balancer.set_attribute("access_logs.s3.bucket", bucket.bucket_name)
    # Elastic Load Balancing writes a test object when the attribute is set.
    assert bucket.policy is not None  # noqa: S101 - the statement above made it
    balancer.node.add_dependency(bucket.policy)


def target_group(
    scope: Construct, *, vpc: ec2.IVpc, serving: Serving, check: HealthCheck, delay: Duration
) -> elb.ApplicationTargetGroup:
    """Return the clones as the load balancer sees them.

    ``delay``: for how long one that goes may finish its requests.
    """
    protocol = elb.ApplicationProtocol[serving.protocol]
    return elb.ApplicationTargetGroup(
        scope,
        "Targets",
        vpc=vpc,
        port=serving.port,
        protocol=protocol,
        target_type=elb.TargetType.INSTANCE,
        deregistration_delay=delay,
        stickiness_cookie_duration=serving.sticky,
        slow_start=serving.slow_start,
        health_check=elb.HealthCheck(
            path=check.path,
            protocol=None if serving.protocol == "HTTP" else elb.Protocol.HTTPS,
            port=None if check.port is None else str(check.port),
            healthy_http_codes=check.codes,
            interval=check.interval or Duration.seconds(10),
            timeout=check.timeout or Duration.seconds(5),
            healthy_threshold_count=check.healthy,
            unhealthy_threshold_count=check.unhealthy,
        ),
    )


def problem_of(serving: Serving, check: HealthCheck) -> str | None:
    """Return what Elastic Load Balancing would refuse, "Health checks for Application Load Balancer target
    groups" and "Edit target group attributes" in its user guide.
    """
    interval = (check.interval or Duration.seconds(10)).to_seconds()
    timeout = (check.timeout or Duration.seconds(5)).to_seconds()
    sticky, slow = (
        None if given is None else given.to_seconds() for given in (serving.sticky, serving.slow_start)
    )
    rules = [
        (1 <= serving.port <= 65535, f"port {serving.port}; expected 1 to 65535"),
        (
            check.port is None or 1 <= check.port <= 65535,
            f"health check on port {check.port}; expected 1 to 65535",
        ),
        (check.path.startswith("/"), f"health check of {check.path!r}; expected a path that begins with /"),
        (5 <= interval <= 300, f"health checks every {interval:g} s; expected 5 to 300"),
        (2 <= timeout <= 120, f"health checks with a timeout of {timeout:g} s; expected 2 to 120"),
        (
            timeout < interval,
            f"health checks every {interval:g} s with a timeout of {timeout:g}; expected a shorter one",
        ),
        (2 <= check.healthy <= 10, f"{check.healthy} good answers; expected 2 to 10"),
        (2 <= check.unhealthy <= 10, f"{check.unhealthy} bad answers; expected 2 to 10"),
        (sticky is None or 1 <= sticky <= 604800, f"sticky for {sticky} s; expected 1 second to 7 days"),
        (slow is None or 30 <= slow <= 900, f"a slow start of {slow} s; expected 30 to 900"),
    ]
    return next((problem for holds, problem in rules if not holds), None)


@dataclass(frozen=True)
class GivenBalancing:
    """A load balancer or a listener that are there already, and which of its requests are the fleet's."""

    load_balancer: elb.IApplicationLoadBalancer | None
    listener: elb.IApplicationListener | None
    rule: Rule | None

    @property
    def balancer(self) -> elb.IApplicationLoadBalancer | None:
        """The load balancer that was given, by itself or as its listener's."""
        if self.load_balancer is None and isinstance(self.listener, elb.ApplicationListener):
            return self.listener.load_balancer
        return self.load_balancer

    @property
    def encrypted(self) -> bool:
        """Whether the listener that was given speaks HTTPS, as far as its construct tells."""
        cfn = None if self.listener is None else self.listener.node.default_child
        return isinstance(cfn, elb.CfnListener) and cfn.protocol == "HTTPS"

    def check(self, where: str, has_vpc: bool, certificate_arn: str | None) -> None:
        """Raise InputError for what does not go together."""
        problem = hint = None
        if self.rule is not None and self.listener is None:
            problem, hint = "rule without listener", "rule= says which requests of listener= are the fleet's"
        elif self.balancer is None and self.listener is not None:
            problem = "the load balancer of an imported listener is not known"
            hint = "give load_balancer= too: alarms and the dashboard name it"
        elif self.balancer is not None and not has_vpc:
            problem, hint = "a load balancer without vpc", "give vpc=, the one that the load balancer is in"
        elif self.listener is not None and certificate_arn is not None:
            problem, hint = "certificate_arn and listener; expected one of them", "the listener has its own"
        elif self.rule is not None and not 1 <= self.rule.priority <= 50000:
            problem = f"a rule of priority {self.rule.priority}; expected 1 to 50000"
        elif self.rule is not None and not (self.rule.hosts or self.rule.paths):
            problem = "a rule without hosts and paths; expected one of them"
            hint = "leave rule= out if all requests are the fleet's"
        if problem is not None:
            raise InputError(f"{where}: {problem}", hint=hint)


def full_name(balancer: elb.IApplicationLoadBalancer) -> str:
    """Return the name by which metrics know a load balancer: app/NAME/ID, the end of its ARN."""
    if isinstance(balancer, elb.ApplicationLoadBalancer):
        return balancer.load_balancer_full_name
    if Token.is_unresolved(balancer.load_balancer_arn):
        return Fn.select(1, Fn.split("loadbalancer/", balancer.load_balancer_arn))
    return balancer.load_balancer_arn.partition("loadbalancer/")[2]


def serve_from(
    listener: elb.IApplicationListener, targets: elb.ApplicationTargetGroup, rule: Rule | None
) -> None:
    """Have a listener that was given send requests to the targets: those of the rule, or all."""
    if rule is None:
        listener.add_target_groups("Fleet", target_groups=[targets])
        return
    conditions = []
    if rule.hosts:
        conditions.append(elb.ListenerCondition.host_headers([*rule.hosts]))
    if rule.paths:
        conditions.append(elb.ListenerCondition.path_patterns([*rule.paths]))
    elb.ApplicationListenerRule(
        targets,
        "Rule",
        listener=listener,
        priority=rule.priority,
        conditions=conditions,
        target_groups=[targets],
    )


def listen(
    balancer: elb.IApplicationLoadBalancer, targets: elb.ApplicationTargetGroup, certificate_arn: str | None
) -> None:
    """Serve the targets by HTTP, or by HTTPS where there is a certificate; HTTP then redirects to it."""
    if certificate_arn is None:
        balancer.add_listener("Http", port=80, open=True, default_target_groups=[targets])
        return
    balancer.add_listener(
        "Https",
        port=443,
        open=True,
        certificates=[elb.ListenerCertificate.from_arn(certificate_arn)],
        ssl_policy=elb.SslPolicy.TLS13_12_RES_PQ,
        default_target_groups=[targets],
    )
    to_https = elb.ListenerAction.redirect(protocol="HTTPS", port="443", permanent=True)
    balancer.add_listener("Http", port=80, open=True, default_action=to_https)
