"""A fleet's load balancer: who comes in, by which protocol, and what is written down of it."""

from __future__ import annotations

from aws_cdk import Duration, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from ingot.constructs.audit import departs


def load_balancer(
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
    scope: Construct, *, vpc: ec2.IVpc, health_path: str, delay: Duration
) -> elb.ApplicationTargetGroup:
    """Return the clones as the load balancer sees them.

    ``delay``: for how long one that goes may finish its requests.
    """
    return elb.ApplicationTargetGroup(
        scope,
        "Targets",
        vpc=vpc,
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


def listen(
    balancer: elb.ApplicationLoadBalancer, targets: elb.ApplicationTargetGroup, certificate_arn: str | None
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
