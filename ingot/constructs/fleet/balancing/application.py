"""A fleet's Application Load Balancer: who comes in, by which protocol, and what is written down of it."""

from __future__ import annotations

from aws_cdk import Duration, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from ingot.constructs.audit import departs
from ingot.constructs.fleet.balancing.front import INTERVAL, TIMEOUT, Front, FrontOptions, GivenBalancing
from ingot.constructs.fleet.options import Rule

IDLE = Duration.seconds(60)


def application_front(
    scope: Construct, options: FrontOptions, *, given: GivenBalancing, clones: ec2.Connections
) -> Front:
    """Return an Application Load Balancer, or the one that is given, with listeners or a rule for the clones.

    ``clones``: what it is let in to, for health checks on a port of their own.
    """
    targets = _target_group(scope, options)
    balancer = given.balancer or _load_balancer(scope, options)
    # GivenBalancing.check has refused a load balancer of the other kind.
    if given.listener is None:
        _listen(balancer, targets, options.certificate_arn)  # type: ignore[arg-type]
    else:
        _serve_from(given.listener, targets, given.rule)
    if options.check.port not in (None, options.serving.port):
        clones.allow_from(balancer, ec2.Port.tcp(options.check.port), "Health checks")
    encrypted = options.certificate_arn is not None or given.encrypted
    return Front(balancer, targets, options.url(balancer, scheme="https" if encrypted else "http"))


def _load_balancer(scope: Construct, options: FrontOptions) -> elb.ApplicationLoadBalancer:
    group = ec2.SecurityGroup(
        scope,
        "BalancerGroup",
        vpc=options.vpc,
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
        vpc=options.vpc,
        internet_facing=options.internet_facing,
        security_group=group,
        drop_invalid_header_fields=True,
        idle_timeout=options.idle_timeout or IDLE,
    )
    if options.access_logs is not None:
        _write_access_logs(scope, balancer, options.access_logs)
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


def _target_group(scope: Construct, options: FrontOptions) -> elb.ApplicationTargetGroup:
    """Return the clones as the load balancer sees them."""
    serving, check = options.serving, options.check
    return elb.ApplicationTargetGroup(
        scope,
        "Targets",
        vpc=options.vpc,
        port=serving.port,
        protocol=elb.ApplicationProtocol[serving.protocol],
        target_type=elb.TargetType.INSTANCE,
        deregistration_delay=options.deregistration_delay,
        stickiness_cookie_duration=serving.sticky,
        slow_start=serving.slow_start,
        health_check=elb.HealthCheck(
            path=check.path,
            protocol=None if serving.protocol == "HTTP" else elb.Protocol.HTTPS,
            port=None if check.port is None else str(check.port),
            healthy_http_codes=check.codes,
            interval=check.interval or INTERVAL,
            timeout=check.timeout or TIMEOUT,
            healthy_threshold_count=check.healthy,
            unhealthy_threshold_count=check.unhealthy,
        ),
    )


def _serve_from(
    listener: elb.IApplicationListener, targets: elb.ApplicationTargetGroup, rule: Rule | None
) -> None:
    """Have a listener that was given send requests to the targets: those of the rule, or all."""
    if rule is None:
        listener.add_target_groups("Fleet", target_groups=[targets])
        return
    condition_of = {
        "hosts": elb.ListenerCondition.host_headers,
        "paths": elb.ListenerCondition.path_patterns,
        "methods": elb.ListenerCondition.http_request_methods,
        "source_ips": elb.ListenerCondition.source_ips,
    }
    conditions = [condition_of[name]([*values]) for name, values in rule.conditions.items() if values]
    conditions += [
        elb.ListenerCondition.http_header(name, [*values]) for name, values in rule.headers.items()
    ]
    elb.ApplicationListenerRule(
        targets,
        "Rule",
        listener=listener,
        priority=rule.priority,
        conditions=conditions,
        target_groups=[targets],
    )


def _listen(
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
