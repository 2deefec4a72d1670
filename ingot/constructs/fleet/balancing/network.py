"""A fleet's Network Load Balancer: connections come in on one port and go to the clones as they are."""

from __future__ import annotations

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elb
from constructs import Construct

from ingot.constructs.audit import departs
from ingot.constructs.fleet.balancing.front import INTERVAL, TIMEOUT, Front, FrontOptions

TLS_PORT = 443


def network_front(
    scope: Construct,
    options: FrontOptions,
    *,
    given: elb.INetworkLoadBalancer | None,
    clones: ec2.Connections,
) -> Front:
    """Return a Network Load Balancer, or the one that is given, with a listener for the clones.

    ``clones``: what it is let in to. With a certificate it takes TLS on port 443 and passes TCP on.
    """
    serving, encrypted = options.serving, options.certificate_arn is not None
    transport = elb.Protocol[serving.protocol]
    port = TLS_PORT if encrypted else serving.port
    arriving = ec2.Port.udp(port) if serving.transport == "udp" else ec2.Port.tcp(port)
    targets = _targets(scope, options)
    balancer = given or _balancer(scope, options, arriving)
    balancer.add_listener(
        "Listener" if given is None else f"Listener{port}",
        port=port,
        protocol=elb.Protocol.TLS if encrypted else transport,
        certificates=[elb.ListenerCertificate.from_arn(options.certificate_arn)]
        if options.certificate_arn is not None
        else None,
        ssl_policy=elb.SslPolicy.TLS13_12_RES_PQ if encrypted else None,
        tcp_idle_timeout=options.idle_timeout,
        default_target_groups=[targets],
    )
    ports = [serving.traffic]
    if serving.transport == "udp" or options.check.port not in (None, serving.port):
        ports.append(ec2.Port.tcp(options.check.port or serving.port))
    for one in ports:
        clones.allow_from(balancer, one, "Load balancer")
    scheme = "tls" if encrypted else serving.protocol.lower()
    return Front(balancer, targets, options.url(balancer, scheme=scheme, port=port))


def _balancer(scope: Construct, options: FrontOptions, arriving: ec2.Port) -> elb.NetworkLoadBalancer:
    group = ec2.SecurityGroup(
        scope,
        "BalancerGroup",
        vpc=options.vpc,
        description="Load balancer: connections come in, and go to the clones alone",
        allow_all_outbound=False,
    )
    group.add_ingress_rule(ec2.Peer.any_ipv4(), arriving, "Everybody")
    departs(
        group,
        "AwsSolutions-EC23",
        "The load balancer serves everybody on its listener's port; clones take connections from it alone.",
    )
    balancer = elb.NetworkLoadBalancer(
        scope,
        "Balancer",
        vpc=options.vpc,
        internet_facing=options.internet_facing,
        security_groups=[group],
    )
    departs(
        balancer,
        "AwsSolutions-ELB2",
        "A Network Load Balancer logs nothing but TLS handshakes: the VPC's flow logs have the connections.",
    )
    return balancer


def _targets(scope: Construct, options: FrontOptions) -> elb.NetworkTargetGroup:
    """Return the clones as the load balancer sees them: well when they accept a connection, or answer.

    A health check of UDP is one of TCP: "Health checks for Network Load Balancer target groups".
    """
    check, serving = options.check, options.serving
    return elb.NetworkTargetGroup(
        scope,
        "Targets",
        vpc=options.vpc,
        port=serving.port,
        protocol=elb.Protocol[serving.protocol],
        target_type=elb.TargetType.INSTANCE,
        deregistration_delay=options.deregistration_delay,
        health_check=elb.HealthCheck(
            protocol=elb.Protocol.TCP if check.path is None else elb.Protocol.HTTP,
            path=check.path,
            port=None if check.port is None else str(check.port),
            healthy_http_codes=None if check.path is None else check.codes,
            interval=check.interval or INTERVAL,
            timeout=check.timeout or TIMEOUT,
            healthy_threshold_count=check.healthy,
            unhealthy_threshold_count=check.unhealthy,
        ),
    )
