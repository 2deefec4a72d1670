"""Elastic Load Balancing: rules, target groups, targets and their health, as the API reference says.

Sources, ELB API reference: CreateRule, ModifyRule, DeleteRule, SetRulePriorities, CreateListener,
CreateLoadBalancer, CreateTargetGroup, TargetGroupAttribute, RegisterTargets, DeregisterTargets, TargetHealth;
user guide for Application Load Balancers, "Health checks for target groups", "Deregistration delay".
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.services.elbv2.targets import CheckSettings, Target, TargetGroup
from tests.localcloud.conftest import code_of, launch

CONDITIONS = [{"Field": "path-pattern", "Values": ["/a"]}]


@dataclass(frozen=True)
class World:
    """Two load balancers, the first with a listener that forwards to ``used``."""

    client: Callable[[str], Any]
    subnets: list[str]
    vpc: str
    first: str
    second: str
    used: str
    free: str
    listener: str

    @property
    def elb(self) -> Any:
        return self.client("elbv2")

    def rule(self, **changed: Any) -> str:
        given = {
            "ListenerArn": self.listener, "Conditions": CONDITIONS, "Priority": 1,
            "Actions": forward(self.free),
        }  # fmt: skip
        arn: str = self.elb.create_rule(**{**given, **changed})["Rules"][0]["RuleArn"]
        return arn

    def target_group(self, name: str, **more: Any) -> str:
        answer = self.elb.create_target_group(Name=name, Protocol="HTTP", Port=80, VpcId=self.vpc, **more)
        arn: str = answer["TargetGroups"][0]["TargetGroupArn"]
        return arn


def forward(arn: str) -> list[dict[str, Any]]:
    return [{"Type": "forward", "TargetGroupArn": arn}]


@pytest.fixture(scope="module")
def world(client: Any) -> World:
    ec2, elb = client("ec2"), client("elbv2")
    listed = ec2.describe_subnets()["Subnets"]
    subnets, vpc = [subnet["SubnetId"] for subnet in listed], listed[0]["VpcId"]
    first, second = (
        elb.create_load_balancer(Name=name, Subnets=subnets[:2])["LoadBalancers"][0]["LoadBalancerArn"]
        for name in ("first", "second")
    )
    used, free = (
        elb.create_target_group(Name=name, Protocol="HTTP", Port=80, VpcId=vpc)["TargetGroups"][0][
            "TargetGroupArn"
        ]
        for name in ("used", "free")
    )
    listener = elb.create_listener(
        LoadBalancerArn=first, Protocol="HTTP", Port=80, DefaultActions=forward(used)
    )["Listeners"][0]["ListenerArn"]
    return World(client, subnets, vpc, first, second, used, free, listener)


class TestRules:
    @pytest.mark.parametrize(
        ("changed", "code", "message"),
        [
            ({"Priority": 50_001}, "ValidationError", "less than or equal to 50000"),
            ({"Conditions": []}, "ValidationError", "condition must be specified"),
            ({"Actions": []}, "ValidationError", "action must be specified"),
            ({"ListenerArn": "missing"}, "ListenerNotFound", "does not exist"),
            ({"Actions": forward("arn:missing")}, "TargetGroupNotFound", "not found"),
            ({"Actions": [{"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_200"}}]},
             "ValidationError", r"enum value set: \[HTTP_301, HTTP_302\]"),
            ({"Actions": [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "600"}}]},
             "ValidationError", "statusCode"),
            ({"Conditions": [{"Field": "nope", "Values": ["x"]}]}, "ValidationError", "must be one of"),
        ],
    )  # fmt: skip
    def test_refusals(self, world: World, changed: dict[str, Any], code: str, message: str) -> None:
        if changed.get("ListenerArn"):
            changed = {"ListenerArn": world.listener[:-4] + "0000"}
        with pytest.raises(ClientError, match=message) as caught:
            world.rule(**changed)
        assert code_of(caught) == code

    def test_a_priority_has_one_rule_and_two_may_change_places(self, world: World) -> None:
        one, two = world.rule(Priority=10), world.rule(Priority=20)
        with pytest.raises(ClientError) as caught:
            world.rule(Priority=10)
        assert code_of(caught) == "PriorityInUse"
        with pytest.raises(ClientError) as caught:
            world.elb.set_rule_priorities(RulePriorities=[{"RuleArn": two, "Priority": 10}])
        assert code_of(caught) == "PriorityInUse"
        both = [{"RuleArn": two, "Priority": 10}, {"RuleArn": one, "Priority": 20}]
        world.elb.set_rule_priorities(RulePriorities=both)
        found = {r["RuleArn"]: r["Priority"] for r in world.elb.describe_rules(RuleArns=[one, two])["Rules"]}
        assert found == {one: "20", two: "10"}
        for arn in (one, two):
            world.elb.delete_rule(RuleArn=arn)

    def test_the_default_rule_stays(self, world: World) -> None:
        rules = world.elb.describe_rules(ListenerArn=world.listener)["Rules"]
        [default] = [rule["RuleArn"] for rule in rules if rule["IsDefault"]]
        with pytest.raises(ClientError, match=f"Default rule '{default}' cannot be deleted") as caught:
            world.elb.delete_rule(RuleArn=default)
        assert code_of(caught) == "OperationNotPermitted"
        with pytest.raises(ClientError) as caught:
            world.elb.modify_rule(RuleArn=default, Conditions=CONDITIONS)
        assert code_of(caught) == "OperationNotPermitted"
        with pytest.raises(ClientError) as caught:
            world.elb.set_rule_priorities(RulePriorities=[{"RuleArn": default, "Priority": 5}])
        assert code_of(caught) == "OperationNotPermitted"


class TestTargetGroups:
    def test_one_serves_one_load_balancer(self, world: World) -> None:
        given = {"LoadBalancerArn": world.second, "Protocol": "HTTP", "Port": 80}
        with pytest.raises(ClientError, match="more than one load balancer") as caught:
            world.elb.create_listener(**given, DefaultActions=forward(world.used))
        assert code_of(caught) == "TargetGroupAssociationLimit"
        with pytest.raises(ClientError) as caught:
            world.elb.delete_target_group(TargetGroupArn=world.used)
        assert code_of(caught) == "ResourceInUse"
        moved = world.target_group("moved")
        listener = world.elb.create_listener(**given, DefaultActions=forward(moved))["Listeners"][0]
        world.elb.delete_listener(ListenerArn=listener["ListenerArn"])
        rule = world.rule(Priority=30, Actions=forward(moved))
        world.elb.delete_rule(RuleArn=rule)
        world.elb.delete_target_group(TargetGroupArn=moved)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"HealthCheckTimeoutSeconds": 30, "HealthCheckIntervalSeconds": 10},
             "Health check timeout '30' must be smaller than the interval '10'"),
            ({"HealthCheckTimeoutSeconds": 121}, "less than or equal to 120"),
            ({"HealthCheckIntervalSeconds": 301}, "less than or equal to 300"),
            ({"UnhealthyThresholdCount": 11}, "less than or equal to 10"),
            ({"HealthCheckPath": "nope"}, "Health check path 'nope' must begin with a '/' character"),
            ({"Matcher": {"HttpCode": "200,600"}}, "'600' must be within '200-499' inclusive"),
            ({"HealthCheckEnabled": False},
             "Health check enabled must be true for target groups with target type 'instance'"),
        ],
    )  # fmt: skip
    def test_settings_are_checked_when_made_and_when_changed(
        self, world: World, settings: dict[str, Any], message: str
    ) -> None:
        calls = (
            lambda: world.target_group("refused", **settings),
            lambda: world.elb.modify_target_group(TargetGroupArn=world.free, **settings),
        )
        for call in calls:
            with pytest.raises(ClientError, match=message) as caught:
                call()
            assert code_of(caught) == "ValidationError"

    @pytest.mark.parametrize(
        ("key", "value", "message"),
        [
            ("deregistration_delay.timeout_seconds", "3601", "must be between '0-3600' inclusive"),
            ("deregistration_delay.timeout_seconds", "soon", "must be between '0-3600' inclusive"),
            ("slow_start.duration_seconds", "10", "must be between '30-900'"),
            ("stickiness.enabled", "maybe", "must be 'true' or 'false'"),
            ("nope", "1", "Target group attribute key 'nope' is not recognized"),
        ],
    )
    def test_attributes(self, world: World, key: str, value: str, message: str) -> None:
        with pytest.raises(ClientError, match=message) as caught:
            world.elb.modify_target_group_attributes(
                TargetGroupArn=world.free, Attributes=[{"Key": key, "Value": value}]
            )
        assert code_of(caught) == "ValidationError"

    def test_an_unknown_type_is_refused(self, world: World) -> None:
        with pytest.raises(ClientError, match=r"\[instance, ip, lambda, alb\]"):
            world.target_group("typed", TargetType="nope")


class TestTargets:
    def test_instances_of_the_vpc_are_registered_and_others_are_not(
        self, world: World, image_id: str
    ) -> None:
        ec2 = world.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]
        here = launch(world.client, image_id, "here", SubnetId=world.subnets[0])
        instance_id = launch(world.client, image_id, "there", SubnetId=subnet)

        def register(target: str) -> None:
            world.elb.register_targets(TargetGroupArn=world.free, Targets=[{"Id": target}])

        register(here)
        refused = [
            (instance_id, "InvalidTarget", "not in the target group VPC"),
            ("i-0123456789abcdef0", "InvalidTarget", "not in a running state"),
            ("10.0.0.1", "ValidationError", "Instance ID '10.0.0.1' is not valid"),
        ]
        ec2.terminate_instances(InstanceIds=[here])
        refused.append((here, "InvalidTarget", "not in a running state"))
        for target, code, message in refused:
            with pytest.raises(ClientError, match=message) as caught:
                register(target)
            assert code_of(caught) == code

    def test_what_is_not_registered_is_unused_and_may_be_deregistered(self, world: World) -> None:
        target = [{"Id": "i-0123456789abcdef1"}]
        world.elb.deregister_targets(TargetGroupArn=world.free, Targets=target)
        [found] = world.elb.describe_target_health(TargetGroupArn=world.free, Targets=target)[
            "TargetHealthDescriptions"
        ]
        assert (found["TargetHealth"]["State"], found["TargetHealth"]["Reason"]) == (
            "unused",
            "Target.NotRegistered",
        )
        with pytest.raises(ClientError) as caught:
            world.elb.describe_target_health(TargetGroupArn=world.free[:-4] + "0000")
        assert code_of(caught) == "TargetGroupNotFound"


class TestLoadBalancers:
    @pytest.mark.parametrize(
        ("changed", "code", "message"),
        [
            ({"Name": "first"}, "DuplicateLoadBalancerName", "same name 'first' exists"),
            ({"Subnets": [0, 0, 1]}, "InvalidConfigurationRequest", "multiple subnets in the same"),
            ({"Subnets": [0, "subnet-0123456789abcdef0"]}, "SubnetNotFound", "subnet-0123456789abcdef0"),
            ({"SecurityGroups": ["sg-0123456789abcdef0"]}, "InvalidSecurityGroup", "security groups"),
        ],
    )
    def test_refusals(self, world: World, changed: dict[str, Any], code: str, message: str) -> None:
        given = {"Name": "refused", "Subnets": [0, 1], **changed}
        subnets = [world.subnets[s] if isinstance(s, int) else s for s in given.pop("Subnets")]
        with pytest.raises(ClientError, match=message) as caught:
            world.elb.create_load_balancer(Subnets=subnets, **given)
        assert code_of(caught) == code

    @pytest.mark.parametrize(
        ("key", "value"), [("idle_timeout.timeout_seconds", "4001"), ("routing.http2.enabled", "yes")]
    )
    def test_attributes(self, world: World, key: str, value: str) -> None:
        with pytest.raises(ClientError, match=f"'{key}' value '{value}' must be") as caught:
            world.elb.modify_load_balancer_attributes(
                LoadBalancerArn=world.first, Attributes=[{"Key": key, "Value": value}]
            )
        assert code_of(caught) == "ValidationError"

    def test_a_listener_for_https_has_a_certificate(self, world: World) -> None:
        with pytest.raises(ClientError, match="certificate must be specified") as caught:
            world.elb.create_listener(
                LoadBalancerArn=world.second, Protocol="HTTPS", Port=443, DefaultActions=forward(world.free)
            )
        assert code_of(caught) == "ValidationError"


class TestHealth:
    """ "Health checks for target groups", target health status and reason codes: what each check leads to."""

    def test_the_states_of_a_target_and_their_reasons(self) -> None:
        settings, group = CheckSettings(healthy=2, unhealthy=2), TargetGroup("arn", CheckSettings())
        target = group.register("i-1", 80)

        def health() -> tuple[str, str | None, str | None]:
            return target.state, target.reason, target.description

        assert health() == ("initial", "Elb.RegistrationInProgress", "Target registration is in progress")
        target.failed(settings, "Target.Timeout")
        assert health() == ("initial", "Elb.InitialHealthChecking", "Initial health checks in progress")
        target.failed(settings, "Target.Timeout")
        assert health() == ("unhealthy", "Target.Timeout", "Request timed out")
        target.failed(settings, "Target.ResponseCodeMismatch", "503")
        assert health()[1:] == ("Target.ResponseCodeMismatch", "Health checks failed with these codes: [503]")
        target.failed(settings, "Target.FailedHealthChecks")
        assert health()[1:] == ("Target.FailedHealthChecks", "Health checks failed")
        target.passed(settings)
        assert target.state == "unhealthy"
        target.passed(settings)
        assert health() == ("healthy", None, None)

    def test_a_deregistered_target_drains_until_its_requests_end_or_the_delay_does(self) -> None:
        group = TargetGroup("arn", CheckSettings(), delay=30.0)
        busy, idle = group.register("i-busy", 80), group.register("i-idle", 80)
        busy.open = 1
        for target in (busy, idle):
            group.deregister(target.id, now=100.0)
            assert (target.state, target.reason, target.description) == (
                "draining",
                "Target.DeregistrationInProgress",
                "Target deregistration is in progress",
            )
        assert group.choose() is None
        group.settle(100.1)
        assert list(group.draining) == ["i-busy"], "one without requests has drained at once"
        group.settle(129.9)
        assert list(group.draining) == ["i-busy"]
        group.settle(130.0)
        assert group.draining == {}

    def test_a_new_target_needs_one_good_check(self) -> None:
        target = Target("i-1", 80)
        target.passed(CheckSettings(healthy=5))
        assert (target.state, target.reason) == ("healthy", None)
