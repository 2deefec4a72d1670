"""Fleets whose clones serve connections, and fleets that nobody comes in to."""

import json

import pytest
from aws_cdk import Aspects, Duration, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk.assertions import Annotations, Match, Template
from cdk_nag import AwsSolutionsChecks

from ingot.constructs import CloneFleet, HealthCheck, Scaling, Serving, add_fleet_outputs
from ingot.errors import InputError
from tests.constructs.fleet.test_clone_fleet import one

CERTIFICATE = "arn:aws:acm:eu-central-1:111122223333:certificate/12345678-90ab-cdef-1234-567890abcdef"
NETWORK = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:loadbalancer/net/shared/0123456789abcdef"
APPLICATION = NETWORK.replace("/net/", "/app/")
BALANCER, LISTENER, TARGETS = (
    f"AWS::ElasticLoadBalancingV2::{kind}" for kind in ("LoadBalancer", "Listener", "TargetGroup")
)


def properties(stack: Stack, kind: str) -> dict:
    return one(Template.from_stack(stack), kind)["Properties"]


def test_connections_come_in_on_one_port_and_go_to_the_clones(stack, image):
    fleet = CloneFleet(stack, "Fleet", image=image, serving=Serving(1883, "TCP"))
    template = Template.from_stack(stack)
    assert one(template, BALANCER)["Properties"]["Type"] == "network"
    listener = one(template, LISTENER)["Properties"]
    assert (listener["Port"], listener["Protocol"]) == (1883, "TCP")
    found = one(template, TARGETS)["Properties"]
    assert (found["Port"], found["Protocol"], found["HealthCheckProtocol"]) == (1883, "TCP", "TCP")
    assert "HealthCheckPath" not in found
    assert (found["HealthCheckIntervalSeconds"], found["HealthCheckTimeoutSeconds"]) == (10, 5)
    group = one(template, "AWS::AutoScaling::AutoScalingGroup")
    assert group["Properties"]["TargetGroupARNs"] == [stack.resolve(fleet.targets.target_group_arn)]
    # Clones that start before there is a listener would count as unhealthy.
    assert any("Listener" in name for name in group["DependsOn"])
    assert stack.resolve(fleet.url)["Fn::Join"][1][-1] == ":1883"


def test_only_the_load_balancer_reaches_clones_and_nothing_else_leaves_it(stack, image):
    CloneFleet(stack, "Fleet", image=image, serving=Serving(1883, "TCP"))
    template = Template.from_stack(stack)
    [comes] = template.find_resources("AWS::EC2::SecurityGroupIngress").values()
    [goes] = template.find_resources("AWS::EC2::SecurityGroupEgress").values()
    assert {(r["Properties"]["FromPort"], r["Properties"]["IpProtocol"]) for r in (comes, goes)} == {
        (1883, "tcp")
    }
    assert "SourceSecurityGroupId" in comes["Properties"]
    [opened] = [
        group["Properties"]["SecurityGroupIngress"]
        for group in template.find_resources("AWS::EC2::SecurityGroup").values()
        if "SecurityGroupIngress" in group["Properties"]
    ]
    assert [(rule["FromPort"], rule["CidrIp"]) for rule in opened] == [(1883, "0.0.0.0/0")]


def test_one_alarm_watches_and_stops_refreshes(stack, image):
    fleet = CloneFleet(stack, "Fleet", image=image, serving=Serving(1883, "TCP"))
    alarm = properties(stack, "AWS::CloudWatch::Alarm")
    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/NetworkELB", "HealthyHostCount")
    assert (fleet.alarms.errors, fleet.alarms.balancer_errors, fleet.alarms.latency) == (None, None, None)
    policy = one(Template.from_stack(stack), "AWS::AutoScaling::AutoScalingGroup")["UpdatePolicy"]
    preferences = policy["AutoScalingInstanceRefresh"]["Preferences"]
    assert len(preferences["AlarmSpecification"]["Alarms"]) == 1
    body = json.dumps(properties(stack, "AWS::CloudWatch::Dashboard"))
    assert "ActiveFlowCount" in body
    assert "ApplicationELB" not in body


def test_tls_is_taken_with_a_certificate_and_tcp_goes_on(stack, image):
    fleet = CloneFleet(
        stack,
        "Fleet",
        image=image,
        serving=Serving(1883, "TCP"),
        certificate_arn=CERTIFICATE,
        domain_name="mqtt.example.com",
        idle_timeout=Duration.minutes(20),
    )
    listener = properties(stack, LISTENER)
    assert (listener["Port"], listener["Protocol"]) == (443, "TLS")
    assert listener["Certificates"] == [{"CertificateArn": CERTIFICATE}]
    assert listener["ListenerAttributes"] == [{"Key": "tcp.idle_timeout.seconds", "Value": "1200"}]
    assert properties(stack, TARGETS)["Protocol"] == "TCP"
    assert fleet.url == "tls://mqtt.example.com:443"


def test_a_clone_is_asked_by_http_where_the_fleet_says_so(stack, image):
    check = HealthCheck("/ready", codes="200-299", port=9000)
    CloneFleet(stack, "Fleet", image=image, serving=Serving(1883, "TCP"), health_check=check)
    found = properties(stack, TARGETS)
    assert (found["HealthCheckProtocol"], found["HealthCheckPath"], found["HealthCheckPort"]) == (
        "HTTP", "/ready", "9000",
    )  # fmt: skip
    rules = Template.from_stack(stack).find_resources("AWS::EC2::SecurityGroupIngress").values()
    assert {rule["Properties"]["FromPort"] for rule in rules} == {1883, 9000}


def test_clones_of_udp_are_asked_by_tcp(stack, image):
    fleet = CloneFleet(stack, "Fleet", image=image, serving=Serving(53, "UDP"))
    found = properties(stack, TARGETS)
    assert (found["Protocol"], found["HealthCheckProtocol"]) == ("UDP", "TCP")
    rules = Template.from_stack(stack).find_resources("AWS::EC2::SecurityGroupIngress").values()
    assert {(r["Properties"]["IpProtocol"], r["Properties"]["FromPort"]) for r in rules} == {
        ("udp", 53), ("tcp", 53),
    }  # fmt: skip
    assert fleet.connections.default_port.to_string() == "UDP 53"


def test_a_network_load_balancer_that_is_there_gets_a_listener(stack, image):
    vpc = ec2.Vpc(stack, "Vpc", max_azs=2, nat_gateways=1)
    balancer = elb.NetworkLoadBalancer(stack, "Shared", vpc=vpc)
    fleet = CloneFleet(
        stack, "Fleet", image=image, vpc=vpc, load_balancer=balancer, serving=Serving(1883, "TCP")
    )
    template = Template.from_stack(stack)
    template.resource_count_is(BALANCER, 1)
    assert one(template, LISTENER)["Properties"]["LoadBalancerArn"] == stack.resolve(
        balancer.load_balancer_arn
    )
    assert fleet.load_balancer is balancer


@pytest.mark.parametrize(
    ("arn", "serving", "message"),
    [
        (NETWORK, Serving(), "a Network Load Balancer with HTTP"),
        (APPLICATION, Serving(1883, "TCP"), "an Application Load Balancer with TCP"),
    ],
)
def test_a_load_balancer_of_the_other_kind_is_refused(stack, image, arn, serving, message):
    vpc = ec2.Vpc(stack, "Vpc", max_azs=2, nat_gateways=1)
    if "/net/" in arn:
        given = elb.NetworkLoadBalancer.from_network_load_balancer_attributes(
            stack, "Given", load_balancer_arn=arn, vpc=vpc
        )
    else:
        given = elb.ApplicationLoadBalancer.from_application_load_balancer_attributes(
            stack, "Given", load_balancer_arn=arn, security_group_id="sg-1", vpc=vpc
        )
    with pytest.raises(InputError, match=message):
        CloneFleet(stack, "Fleet", image=image, vpc=vpc, load_balancer=given, serving=serving)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"serving": Serving(1, "TCP", sticky=Duration.hours(1))}, "sticky needs HTTP or HTTPS, not TCP"),
        (
            {"serving": Serving(1, "TCP", slow_start=Duration.minutes(1))},
            "slow_start needs HTTP or HTTPS",
        ),
        ({"access_logs": Duration.days(1)}, "access_logs needs HTTP or HTTPS, not TCP"),
        ({"scaling": Scaling(requests=10)}, "scaling by requests needs HTTP or HTTPS, not TCP"),
        ({"idle_timeout": Duration.seconds(30)}, "idle_timeout must be from 60 to 6000 s with TCP, not 30"),
        (
            {"serving": Serving(1, "UDP"), "certificate_arn": CERTIFICATE},
            "certificate_arn needs TCP",
        ),
        (
            {"serving": Serving(1, "UDP"), "idle_timeout": Duration.minutes(2)},
            "idle_timeout needs TCP",
        ),
    ],
)
def test_what_connections_do_not_have_is_refused(stack, image, options, message):
    with pytest.raises(InputError, match=f"Test/Fleet: {message}"):
        CloneFleet(stack, "Fleet", image=image, **{"serving": Serving(1, "TCP"), **options})


def test_a_fleet_without_a_load_balancer_goes_by_what_ec2_says(stack, image):
    fleet = CloneFleet(stack, "Fleet", image=image, serving=Serving(balanced=False), show_dashboard=False)
    add_fleet_outputs(fleet)
    template = Template.from_stack(stack)
    for kind in (BALANCER, LISTENER, TARGETS, "AWS::EC2::SecurityGroupIngress"):
        template.resource_count_is(kind, 0)
    group = one(template, "AWS::AutoScaling::AutoScalingGroup")
    assert group["Properties"].get("HealthCheckType", "EC2") == "EC2"
    assert "TargetGroupARNs" not in group["Properties"]
    # The alarm goes by the group's own metric, so the group can neither wait for it nor be stopped by it.
    alarm = one(template, "AWS::CloudWatch::Alarm")["Properties"]
    assert alarm["MetricName"] == "GroupInServiceInstances"
    assert group["Properties"]["MetricsCollection"]
    assert "AlarmSpecification" not in group["UpdatePolicy"]["AutoScalingInstanceRefresh"]["Preferences"]
    assert (fleet.load_balancer, fleet.targets, fleet.url) == (None, None, None)
    assert "Url" not in template.to_json()["Outputs"]


def test_its_network_needs_no_two_public_subnets(stack, image):
    isolated = ec2.SubnetConfiguration(name="Clones", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)
    vpc = ec2.Vpc(stack, "Vpc", max_azs=1, nat_gateways=0, subnet_configuration=[isolated])
    CloneFleet(stack, "Fleet", image=image, vpc=vpc, serving=Serving(balanced=False))
    Template.from_stack(stack).resource_count_is("AWS::AutoScaling::AutoScalingGroup", 1)


def test_options_of_a_load_balancer_are_refused_where_there_is_none(stack, image):
    with pytest.raises(InputError) as caught:
        CloneFleet(
            stack,
            "Fleet",
            image=image,
            serving=Serving(balanced=False, sticky=Duration.hours(1)),
            health_path="/healthz",
            scaling=Scaling(requests=5),
        )
    assert str(caught.value).startswith(
        "Test/Fleet: health_path, sticky, scaling by requests need a load balancer"
    )


@pytest.mark.parametrize("serving", [Serving(1883, "TCP"), Serving(balanced=False)])
def test_cdk_nag_finds_nothing_that_no_reason_answers(stack, image, serving):
    fleet = CloneFleet(stack, "Fleet", image=image, serving=serving)
    Aspects.of(fleet).add(AwsSolutionsChecks(verbose=True))
    found = Annotations.from_stack(stack).find_error("*", Match.string_like_regexp("AwsSolutions-.*"))
    assert [entry.entry.data for entry in found] == []
