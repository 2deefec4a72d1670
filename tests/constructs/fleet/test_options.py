"""What a production fleet needs: each option, and what it makes of the template."""

import json

import pytest
from aws_cdk import Duration
from aws_cdk import aws_ec2 as ec2
from aws_cdk.assertions import Annotations, Match, Template

from ingot.constructs import Alarms, CloneFleet, GoldenImage, Refresh, Scaling, Spot, WarmPool
from ingot.errors import InputError
from tests.constructs.fleet.test_clone_fleet import one
from tests.constructs.recipes import write_recipe

CERTIFICATE = "arn:aws:acm:eu-central-1:111122223333:certificate/12345678-90ab-cdef-1234-567890abcdef"


def test_https_is_served_and_http_leads_to_it(stack, image):
    fleet = CloneFleet(
        stack, "Fleet", image=image, certificate_arn=CERTIFICATE, domain_name="www.example.com"
    )
    template = Template.from_stack(stack)
    listeners = {
        listener["Properties"]["Port"]: listener["Properties"]
        for listener in template.find_resources("AWS::ElasticLoadBalancingV2::Listener").values()
    }
    assert listeners[443]["Certificates"] == [{"CertificateArn": CERTIFICATE}]
    assert listeners[443]["SslPolicy"].startswith("ELBSecurityPolicy-TLS13-1-2-Res")
    [action] = listeners[80]["DefaultActions"]
    assert action["RedirectConfig"] == {"Port": "443", "Protocol": "HTTPS", "StatusCode": "HTTP_301"}
    [opened] = [
        group["Properties"]["SecurityGroupIngress"]
        for group in template.find_resources("AWS::EC2::SecurityGroup").values()
        if "SecurityGroupIngress" in group["Properties"]
    ]
    assert sorted(rule["FromPort"] for rule in opened) == [80, 443]
    assert fleet.url == "https://www.example.com"


def test_access_logs_go_to_a_bucket_that_only_elastic_load_balancing_writes(stack, image):
    CloneFleet(stack, "Fleet", image=image, access_logs=Duration.days(90))
    template = Template.from_stack(stack)
    bucket = one(template, "AWS::S3::Bucket")
    assert bucket["DeletionPolicy"] == "Retain"
    assert bucket["Properties"]["LifecycleConfiguration"]["Rules"] == [
        {"ExpirationInDays": 90, "Status": "Enabled"}
    ]
    [allow] = [
        statement
        for statement in one(template, "AWS::S3::BucketPolicy")["Properties"]["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow"
    ]
    assert allow["Principal"] == {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"}
    assert allow["Action"] == "s3:PutObject"
    balancer = one(template, "AWS::ElasticLoadBalancingV2::LoadBalancer")
    # The bucket's policy has to be there when the attribute is set.
    [policy] = template.find_resources("AWS::S3::BucketPolicy")
    assert policy in balancer["DependsOn"]
    attributes = {line["Key"]: line["Value"] for line in balancer["Properties"]["LoadBalancerAttributes"]}
    assert attributes["access_logs.s3.enabled"] == "true"


def test_several_types_and_spot_capacity_make_a_mixed_group_with_a_numbered_version(stack, image):
    CloneFleet(
        stack, "Fleet", image=image, more_instance_types=("m7i.large",), spot=Spot(70, on_demand_base=2)
    )
    group = one(Template.from_stack(stack), "AWS::AutoScaling::AutoScalingGroup")["Properties"]
    mixed = group["MixedInstancesPolicy"]
    assert mixed["LaunchTemplate"]["Overrides"] == [
        {"InstanceType": "t3.small"},
        {"InstanceType": "m7i.large"},
    ]
    assert mixed["InstancesDistribution"] == {
        "OnDemandBaseCapacity": 2,
        "OnDemandPercentageAboveBaseCapacity": 30,
        "SpotAllocationStrategy": "price-capacity-optimized",
    }
    version = mixed["LaunchTemplate"]["LaunchTemplateSpecification"]["Version"]
    assert version["Fn::GetAtt"][1] == "LatestVersionNumber"
    assert group["CapacityRebalance"] is True
    assert "LaunchTemplate" not in group


def test_the_size_follows_the_load_unless_it_cannot(stack, image):
    CloneFleet(stack, "Fleet", image=image, scaling=Scaling(cpu=40, requests=600))
    CloneFleet(stack, "Fixed", image=image, min_clones=3, max_clones=3)
    policies = Template.from_stack(stack).find_resources("AWS::AutoScaling::ScalingPolicy").values()
    targets = {
        found["PredefinedMetricSpecification"]["PredefinedMetricType"]: found["TargetValue"]
        for found in (policy["Properties"]["TargetTrackingConfiguration"] for policy in policies)
    }
    assert targets == {"ASGAverageCPUUtilization": 40, "ALBRequestCountPerTarget": 600}


def test_booted_clones_wait_beside_the_group(stack, image):
    CloneFleet(stack, "Fleet", image=image, warm_pool=WarmPool(size=3, reuse=True))
    pool = one(Template.from_stack(stack), "AWS::AutoScaling::WarmPool")["Properties"]
    assert pool.items() >= {
        "MinSize": 3, "PoolState": "Stopped", "InstanceReusePolicy": {"ReuseOnScaleIn": True},
    }.items()  # fmt: skip


def test_arm64_takes_an_arm_instance_type_of_itself(project, stack):
    write_recipe(project, "arm", architecture="arm64")
    image = GoldenImage(stack, "Image", recipe="arm")
    CloneFleet(stack, "Fleet", image=image)
    data = one(Template.from_stack(stack), "AWS::EC2::LaunchTemplate")["Properties"]["LaunchTemplateData"]
    assert data["InstanceType"] == "t4g.small"
    with pytest.raises(InputError, match=r"Test/Wrong: c7i.large is an x86_64 machine, and .* arm64"):
        CloneFleet(stack, "Wrong", image=image, instance_type="c7i.large")


def test_root_volumes_are_filled_at_a_rate(stack, image):
    CloneFleet(stack, "Fleet", image=image, volume_initialization_rate=300)
    data = one(Template.from_stack(stack), "AWS::EC2::LaunchTemplate")["Properties"]["LaunchTemplateData"]
    assert data["BlockDeviceMappings"][0]["Ebs"]["VolumeInitializationRate"] == 300


def test_session_manager_has_a_role_of_five_actions_and_endpoints_for_clones_alone(stack, image):
    fleet = CloneFleet(stack, "Fleet", image=image, session_manager=True)
    template = Template.from_stack(stack)
    statements = one(template, "AWS::IAM::Policy")["Properties"]["PolicyDocument"]["Statement"]
    actions = [statement["Action"] for statement in statements]
    assert sum(1 if isinstance(action, str) else len(action) for action in actions) == 5
    assert "ManagedPolicyArns" not in one(template, "AWS::IAM::Role")["Properties"]
    template.resource_count_is("AWS::EC2::VPCEndpoint", 2)
    # Clones reach the endpoints on 443 and nothing else; nobody reaches the clones on a new port.
    rules = template.find_resources("AWS::EC2::SecurityGroupIngress").values()
    assert sorted(rule["Properties"]["FromPort"] for rule in rules) == [80, 443, 443]
    rules = template.find_resources("AWS::EC2::SecurityGroupEgress").values()
    outward = [
        r for r in rules if r["Properties"]["GroupId"] == stack.resolve(fleet.clones.security_group_id)
    ]
    assert {rule["Properties"]["FromPort"] for rule in outward} == {443}


def test_session_manager_in_a_given_vpc_takes_the_endpoints_that_are_there(stack, image):
    vpc = ec2.Vpc(stack, "Given", max_azs=2, nat_gateways=1)
    CloneFleet(stack, "Fleet", image=image, vpc=vpc, session_manager=True)
    template = Template.from_stack(stack)
    template.resource_count_is("AWS::EC2::VPCEndpoint", 0)
    template.has_resource_properties(
        "AWS::EC2::SecurityGroup",
        {"SecurityGroupEgress": [Match.object_like({"FromPort": 443, "ToPort": 443, "CidrIp": "0.0.0.0/0"})]},
    )


def test_alarms_tell_their_topics_of_the_end_as_well(stack, image):
    topic = "arn:aws:sns:eu-central-1:111122223333:on-call"
    alarms = Alarms(errors=50, latency=Duration.millis(250), topics=(topic,))
    CloneFleet(stack, "Fleet", image=image, alarms=alarms, health_grace=Duration.minutes(12))
    found = {
        alarm["Properties"].get("MetricName", "latency"): alarm["Properties"]
        for alarm in Template.from_stack(stack).find_resources("AWS::CloudWatch::Alarm").values()
    }
    assert all(alarm["AlarmActions"] == alarm["OKActions"] == [topic] for alarm in found.values())
    assert found["HTTPCode_Target_5XX_Count"]["Threshold"] == 50
    assert found["latency"]["Threshold"] == 0.25
    # A new clone may be unwell for its grace: no alarm before that.
    healthy = found["HealthyHostCount"]
    assert healthy["EvaluationPeriods"] == 12


def test_the_latency_alarm_looks_at_busy_minutes_alone(stack, image):
    CloneFleet(stack, "Fleet", image=image, alarms=Alarms(latency_requests=200))
    [alarm] = [
        alarm["Properties"]
        for alarm in Template.from_stack(stack).find_resources("AWS::CloudWatch::Alarm").values()
        if "Metrics" in alarm["Properties"]
    ]
    parts = {metric["Id"]: metric for metric in alarm["Metrics"]}
    [result] = [metric for metric in alarm["Metrics"] if metric.get("ReturnData", True)]
    assert result["Expression"] == "IF(requests >= 200, latency, 0)"
    read = {
        name: (parts[name]["MetricStat"]["Metric"]["MetricName"], parts[name]["MetricStat"]["Stat"])
        for name in ("requests", "latency")
    }
    assert read == {"requests": ("RequestCount", "Sum"), "latency": ("TargetResponseTime", "p95")}
    assert {parts[name]["MetricStat"]["Period"] for name in read} == {60}
    assert "MetricName" not in alarm
    assert alarm["TreatMissingData"] == "notBreaching"


def test_a_refresh_waits_at_checkpoints_and_may_leave_alarms_out(stack, image):
    refresh = Refresh(checkpoints=(10, 50), checkpoint_delay=Duration.minutes(20), watch_alarms=False)
    CloneFleet(stack, "Fleet", image=image, refresh=refresh)
    group = one(Template.from_stack(stack), "AWS::AutoScaling::AutoScalingGroup")
    preferences = group["UpdatePolicy"]["AutoScalingInstanceRefresh"]["Preferences"]
    assert (preferences["CheckpointPercentages"], preferences["CheckpointDelay"]) == ([10, 50, 100], 1200)
    assert "AlarmSpecification" not in preferences


def test_the_dashboard_is_json_that_names_every_alarm(stack, image):
    CloneFleet(stack, "Fleet", image=image)
    template = Template.from_stack(stack)
    [*_, parts] = one(template, "AWS::CloudWatch::Dashboard")["Properties"]["DashboardBody"]["Fn::Join"]
    text = "".join(part if isinstance(part, str) else "X" for part in parts)
    assert [widget["type"] for widget in json.loads(text)["widgets"]] == ["alarm"] + ["metric"] * 6
    named = [
        part["Fn::GetAtt"][0] for part in parts if "Fn::GetAtt" in part and part["Fn::GetAtt"][1] == "Arn"
    ]
    assert set(named) == set(template.find_resources("AWS::CloudWatch::Alarm"))


def test_without_dashboard_there_are_no_group_metrics(stack, image):
    CloneFleet(stack, "Fleet", image=image, show_dashboard=False)
    template = Template.from_stack(stack)
    template.resource_count_is("AWS::CloudWatch::Dashboard", 0)
    assert "MetricsCollection" not in one(template, "AWS::AutoScaling::AutoScalingGroup")["Properties"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"spot": Spot(), "warm_pool": WarmPool()},
            "Test/Fleet: warm_pool and spot exclude each other",
        ),
        (
            {"volume_initialization_rate": 400},
            "volume_initialization_rate must be from 100 to 300",
        ),
        ({"domain_name": "a.example"}, "domain_name a.example needs certificate_arn"),
        ({"zones": 3}, "zones must be from 2 to 2, which the stack knows, not 3"),
        ({"zones": 1}, "zones must be from 2 to 2, which the stack knows, not 1"),
    ],
)
def test_options_that_exclude_each_other(stack, image, options, message):
    with pytest.raises(InputError, match=message):
        CloneFleet(stack, "Fleet", image=image, **options)


@pytest.mark.parametrize(("bounds", "threshold"), [((3, 6), 3), ((1, 2), 1), ((0, 2), 1)])
def test_single_unhealthy_clones_fire_no_alarm_but_too_few_healthy_ones_do(stack, image, bounds, threshold):
    """Refreshes in waves, Spot and scale-outs have some clone that is unhealthy in every minute."""
    CloneFleet(stack, "Fleet", image=image, min_clones=bounds[0], max_clones=bounds[1])
    alarms = Template.from_stack(stack).find_resources("AWS::CloudWatch::Alarm").values()
    found = {alarm["Properties"].get("MetricName", "latency"): alarm["Properties"] for alarm in alarms}
    assert "UnHealthyHostCount" not in found
    assert found["HealthyHostCount"].items() >= {
        "ComparisonOperator": "LessThanThreshold", "Threshold": threshold, "TreatMissingData": "notBreaching",
    }.items()  # fmt: skip


def test_running_clones_get_the_root_volume_of_the_new_image(stack, image):
    """A mixed instances policy, and the AMI in each of its overrides: Auto Scaling refuses it otherwise."""
    refresh = Refresh(strategy="REPLACE_ROOT_VOLUME", min_healthy_percentage=50)
    CloneFleet(stack, "Fleet", image=image, refresh=refresh, more_instance_types=("t3.medium",))
    group = one(Template.from_stack(stack), "AWS::AutoScaling::AutoScalingGroup")
    overrides = group["Properties"]["MixedInstancesPolicy"]["LaunchTemplate"]["Overrides"]
    assert [override["InstanceType"] for override in overrides] == ["t3.small", "t3.medium"]
    assert {override["ImageId"] for override in overrides} == {image.ami_id}
    policy = group["UpdatePolicy"]["AutoScalingInstanceRefresh"]
    assert (policy["Strategy"], policy["Preferences"]["MinHealthyPercentage"]) == ("ReplaceRootVolume", 50)
    assert "MaxHealthyPercentage" not in policy["Preferences"]


def test_volumes_in_place_take_clones_away_meanwhile(stack, image):
    with pytest.raises(InputError, match="REPLACE_ROOT_VOLUME needs a min_healthy_percentage below 100"):
        CloneFleet(stack, "Fleet", image=image, refresh=Refresh(strategy="REPLACE_ROOT_VOLUME"))


@pytest.mark.parametrize(
    ("most", "refresh", "warned"),
    [
        (500, Refresh(), None),
        (501, Refresh(), "501 clones and a refresh up to 200 % are 1002 targets at a time"),
        (909, Refresh(max_healthy_percentage=110), None),
        (910, Refresh(max_healthy_percentage=110), "910 clones and a refresh up to 110 % are 1001 targets"),
        (1000, Refresh(strategy="REPLACE_ROOT_VOLUME", min_healthy_percentage=90), None),
        (1001, Refresh(strategy="REPLACE_ROOT_VOLUME", min_healthy_percentage=90), "1001 clones and a"),
    ],
)
def test_more_targets_than_a_load_balancer_takes_are_warned_of(stack, image, most, refresh, warned):
    CloneFleet(stack, "Fleet", image=image, max_clones=most, refresh=refresh)
    found = [
        entry.entry.data
        for entry in Annotations.from_stack(stack).find_warning("*", Match.string_like_regexp("targets"))
    ]
    if warned is None:
        assert found == []
    else:
        [said] = found
        assert said.startswith(warned)
        assert "the quota of a load balancer is 1000" in said
