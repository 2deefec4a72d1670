"""How clones are asked: ports, protocols, health checks; and load balancers and listeners that are there."""

import json

import pytest
from aws_cdk import Duration, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk.assertions import Template

from ingot.constructs import CloneFleet, HealthCheck, Rule, Scaling, Serving
from ingot.errors import InputError
from tests.constructs.fleet.test_clone_fleet import one

CERTIFICATE = "arn:aws:acm:eu-central-1:111122223333:certificate/12345678-90ab-cdef-1234-567890abcdef"
ARN = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:loadbalancer/app/shared/0123456789abcdef"
LISTENER = ARN.replace("loadbalancer/", "listener/") + "/0123456789abcdef"


def targets(stack: Stack) -> dict:
    return one(Template.from_stack(stack), "AWS::ElasticLoadBalancingV2::TargetGroup")["Properties"]


@pytest.fixture
def vpc(stack):
    return ec2.Vpc(stack, "Vpc", max_azs=2, nat_gateways=1)


@pytest.fixture
def balancer(stack, vpc):
    return elb.ApplicationLoadBalancer(stack, "Shared", vpc=vpc)


def test_clones_serve_where_and_how_they_are_said_to(stack, image):
    serving = Serving(8443, "HTTPS", sticky=Duration.hours(1), slow_start=Duration.seconds(60))
    fleet = CloneFleet(stack, "Fleet", image=image, serving=serving)
    found = targets(stack)
    assert (found["Port"], found["Protocol"], found["HealthCheckProtocol"]) == (8443, "HTTPS", "HTTPS")
    attributes = {line["Key"]: line["Value"] for line in found["TargetGroupAttributes"]}
    assert attributes["stickiness.enabled"] == "true"
    assert attributes["stickiness.lb_cookie.duration_seconds"] == "3600"
    assert attributes["slow_start.duration_seconds"] == "60"
    rules = Template.from_stack(stack).find_resources("AWS::EC2::SecurityGroupIngress").values()
    assert {(r["Properties"]["FromPort"], r["Properties"]["ToPort"]) for r in rules} == {(8443, 8443)}
    assert fleet.connections.default_port.to_string() == "8443"


def test_all_of_the_health_check_is_the_apps(stack, image):
    check = HealthCheck(
        "/ready", "200-204", Duration.seconds(20), Duration.seconds(4), healthy=3, unhealthy=5, port=9000
    )
    CloneFleet(stack, "Fleet", image=image, health_check=check)
    found = targets(stack)
    assert (found["HealthCheckPath"], found["HealthCheckPort"], found["Matcher"]) == (
        "/ready", "9000", {"HttpCode": "200-204"},
    )  # fmt: skip
    assert (found["HealthCheckIntervalSeconds"], found["HealthCheckTimeoutSeconds"]) == (20, 4)
    assert (found["HealthyThresholdCount"], found["UnhealthyThresholdCount"]) == (3, 5)
    # The load balancer has to reach the port that it asks on.
    rules = Template.from_stack(stack).find_resources("AWS::EC2::SecurityGroupIngress").values()
    assert {rule["Properties"]["FromPort"] for rule in rules} == {80, 9000}


def test_a_load_balancer_that_is_there_gets_the_listeners(stack, image, vpc, balancer):
    fleet = CloneFleet(stack, "Fleet", image=image, vpc=vpc, load_balancer=balancer)
    template = Template.from_stack(stack)
    template.resource_count_is("AWS::ElasticLoadBalancingV2::LoadBalancer", 1)
    listener = one(template, "AWS::ElasticLoadBalancingV2::Listener")["Properties"]
    assert listener["LoadBalancerArn"] == stack.resolve(balancer.load_balancer_arn)
    assert fleet.load_balancer is balancer


def test_an_imported_load_balancer_is_named_in_alarms(stack, image, vpc):
    imported = elb.ApplicationLoadBalancer.from_application_load_balancer_attributes(
        stack, "Imported", load_balancer_arn=ARN, security_group_id="sg-1", vpc=vpc,
        load_balancer_dns_name="shared.example",
    )  # fmt: skip
    fleet = CloneFleet(stack, "Fleet", image=image, vpc=vpc, load_balancer=imported)
    alarms = Template.from_stack(stack).find_resources("AWS::CloudWatch::Alarm")
    dimension = json.dumps({"Name": "LoadBalancer", "Value": "app/shared/0123456789abcdef"})
    assert len(alarms) == 4
    assert all(dimension in json.dumps(alarm) for alarm in alarms.values())
    assert fleet.url == "http://shared.example"


def test_two_fleets_share_a_listener_by_rules(stack, image, vpc, balancer):
    certificate = elb.ListenerCertificate.from_arn(CERTIFICATE)
    listener = balancer.add_listener(
        "Listener",
        port=443,
        certificates=[certificate],
        default_action=elb.ListenerAction.fixed_response(404),
    )
    api = Rule(10, paths=("/api/*",))
    one_fleet = CloneFleet(stack, "Api", image=image, vpc=vpc, listener=listener, rule=api)
    CloneFleet(
        stack, "Site", image=image, vpc=vpc, listener=listener, rule=Rule(20, hosts=("www.example.com",)),
        scaling=Scaling(requests=100),
    )  # fmt: skip
    template = Template.from_stack(stack)
    template.resource_count_is("AWS::ElasticLoadBalancingV2::Listener", 1)
    rules = [
        rule["Properties"]
        for rule in template.find_resources("AWS::ElasticLoadBalancingV2::ListenerRule").values()
    ]
    assert {
        rule["Priority"]: next(iter(condition.values()))
        for rule in rules
        for condition in [{k: v for k, v in rule["Conditions"][0].items() if k != "Field"}]
    } == {10: {"Values": ["/api/*"]}, 20: {"Values": ["www.example.com"]}}
    assert one_fleet.url.startswith("https://")
    # Clones that start before requests can reach them would count as unhealthy.
    groups = template.find_resources("AWS::AutoScaling::AutoScalingGroup").values()
    assert len(groups) == 2
    assert all(any("Rule" in name for name in group["DependsOn"]) for group in groups)


def test_a_rule_has_conditions_of_all_kinds(stack, image, vpc, balancer):
    listener = balancer.add_listener(
        "Listener", port=80, default_action=elb.ListenerAction.fixed_response(404)
    )
    rule = Rule(
        3,
        ("a.example",),
        ("/x/*",),
        methods=("POST",),
        source_ips=("192.0.2.0/24",),
        headers={"X-To": ("b",)},
    )
    CloneFleet(stack, "Fleet", image=image, vpc=vpc, listener=listener, rule=rule)
    found = one(Template.from_stack(stack), "AWS::ElasticLoadBalancingV2::ListenerRule")["Properties"]
    assert {condition["Field"] for condition in found["Conditions"]} == {
        "host-header", "path-pattern", "http-request-method", "source-ip", "http-header",
    }  # fmt: skip
    [header] = [one for one in found["Conditions"] if one["Field"] == "http-header"]
    assert header["HttpHeaderConfig"] == {"HttpHeaderName": "X-To", "Values": ["b"]}


def test_without_a_rule_all_requests_of_a_listener_are_the_fleets(stack, image, vpc, balancer):
    listener = balancer.add_listener("Listener", port=80, open=False)
    CloneFleet(stack, "Fleet", image=image, vpc=vpc, listener=listener)
    action = one(Template.from_stack(stack), "AWS::ElasticLoadBalancingV2::Listener")["Properties"][
        "DefaultActions"
    ]
    assert action[0]["Type"] == "forward"


def test_an_imported_listener_is_taken_with_its_load_balancer(stack, image, vpc):
    group = ec2.SecurityGroup.from_security_group_id(stack, "Group", "sg-1")
    listener = elb.ApplicationListener.from_application_listener_attributes(
        stack, "Listener", listener_arn=LISTENER, security_group=group
    )
    with pytest.raises(InputError, match="the load balancer of an imported listener is not known"):
        CloneFleet(stack, "Alone", image=image, vpc=vpc, listener=listener)
    imported = elb.ApplicationLoadBalancer.from_application_load_balancer_attributes(
        stack, "Imported", load_balancer_arn=ARN, security_group_id="sg-1", vpc=vpc,
        load_balancer_dns_name="shared.example",
    )  # fmt: skip
    rule = Rule(7, hosts=("a.example",))
    CloneFleet(
        stack, "Fleet", image=image, vpc=vpc, listener=listener, load_balancer=imported, rule=rule,
        domain_name="a.example",
    )  # fmt: skip
    found = one(Template.from_stack(stack), "AWS::ElasticLoadBalancingV2::ListenerRule")["Properties"]
    assert (found["ListenerArn"], found["Priority"]) == (LISTENER, 7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"serving": Serving(0)}, "port must be from 1 to 65535, not 0"),
        ({"serving": Serving(sticky=Duration.days(8))}, "sticky must be from 1 second to 7 days, not 691200"),
        ({"serving": Serving(slow_start=Duration.seconds(5))}, "slow_start must be from 30 to 900 s, not 5"),
        (
            {"health_check": HealthCheck("ready")},
            "the path of the health check must begin with /",
        ),
        (
            {"health_check": HealthCheck(interval=Duration.seconds(5))},
            "must be shorter than its interval",
        ),
        ({"health_check": HealthCheck(healthy=1)}, "healthy must be from 2 to 10 answers, not 1"),
        (
            {"health_check": HealthCheck(), "health_path": "/x"},
            "health_path and health_check exclude each",
        ),
        ({"health_check": HealthCheck(None)}, "a health check needs a path with HTTP"),
        (
            {"idle_timeout": Duration.seconds(4001)},
            "idle_timeout must be from 1 to 4000 s with HTTP",
        ),
        ({"rule": Rule(1, paths=("/x",))}, "rule without listener"),
    ],
)
def test_what_elastic_load_balancing_would_refuse_is_refused(stack, image, options, message):
    with pytest.raises(InputError, match=f"Test/Fleet: .*{message}"):
        CloneFleet(stack, "Fleet", image=image, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rule": Rule(0, paths=("/x",))}, "the priority of a rule must be from 1 to 50000, not 0"),
        ({"rule": Rule(1, hosts=("a", "b", "c"), headers={"X": ("d", "e", "f")})}, "the rule has 6 values"),
        ({"serving": Serving(25, "TCP")}, "listener needs HTTP or HTTPS, not TCP"),
        (
            {"rule": Rule(1)},
            "the rule has no conditions",
        ),
        ({"certificate_arn": CERTIFICATE}, "certificate_arn and listener exclude each other"),
        ({"vpc": None}, "a load balancer without vpc"),
    ],
)
def test_what_does_not_go_with_a_listener_is_refused(stack, image, vpc, balancer, options, message):
    listener = balancer.add_listener("Listener", port=80, open=False)
    with pytest.raises(InputError, match=message):
        CloneFleet(stack, "Fleet", image=image, **{"vpc": vpc, "listener": listener, **options})
