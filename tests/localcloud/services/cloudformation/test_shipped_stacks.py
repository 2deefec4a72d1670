"""The stacks that ship are deployed through the real APIs: as they are, and with everything on.

No machine boots.
"""

import json
import os
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aws_cdk import App, Stack

from ingot.constructs import CloneFleet, GoldenImage, Serving, add_fleet_outputs
from ingot.process import run
from ingot.recipe.digest import recipe_digest
from stacks.builder_stack import BuilderStack
from stacks.fleet_stack import FleetStack
from stacks.settings.config import Config
from tests import ROOT
from tests.constructs.recipes import write_recipe
from tests.localcloud.conftest import LocalCloud
from tests.localcloud.services.cloudformation.fleet import Refreshes, fleet, group_of, outputs_of, refreshes
from tests.localcloud.services.cloudformation.support import create, events, settled, update
from tests.stacks.everything import EVERYTHING

__all__ = ["refreshes"]
EMPTY = {"min_clones": 0, "max_clones": 3}


@pytest.fixture
def templates(local_cloud: LocalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that gives the templates of both stacks for settings; their image is registered."""
    write_recipe(tmp_path)
    monkeypatch.chdir(tmp_path)
    ssm = local_cloud.client("ssm")
    ssm.put_parameter(Name="/cdk-bootstrap/hnb659fds/version", Value="30", Type="String", Overwrite=True)

    def make(motd: str = "hello", **context: Any) -> dict[str, str]:
        write_recipe(tmp_path, motd=motd)
        config = Config.read({**EMPTY, **context}, environment={})
        recipe = config.load_recipe()
        name = f"/ingot/web/{recipe_digest(recipe)}"
        if not ssm.get_parameters(Names=[name])["Parameters"]:
            ssm.put_parameter(
                Name=name, Value=local_cloud.image(f"web-{motd}-{os.urandom(4).hex()}"), Type="String"
            )
        flags = json.loads((ROOT / "cdk.json").read_text())["context"]
        app = App(analytics_reporting=False, context=flags)
        builder = BuilderStack(app, "IngotBuilder", config=config, architecture=recipe.architecture)
        FleetStack(app, "IngotFleet", config=config, recipe=recipe, builder=builder.builder)
        out = Path(app.synth().directory)
        return {n: (out / f"{n}.template.json").read_text() for n in ("IngotBuilder", "IngotFleet")}

    return make


def physical(cloud: LocalCloud, stack: str) -> dict[str, list[str]]:
    """The stack's resources: type → physical ids."""
    found: dict[str, list[str]] = {}
    pages = cloud.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack)
    for line in [line for page in pages for line in page["StackResourceSummaries"]]:
        found.setdefault(line["ResourceType"], []).append(line["PhysicalResourceId"])
    return found


def test_the_shipped_stacks_are_deployed_and_deleted(local_cloud: LocalCloud, templates: Any) -> None:
    bodies = templates()
    for name in ("IngotBuilder", "IngotFleet"):
        stack = create(local_cloud, name, bodies[name], Capabilities=["CAPABILITY_IAM"])
        assert stack["StackStatus"] == "CREATE_COMPLETE", events(local_cloud, name)
    resources = physical(local_cloud, "IngotFleet")
    cloudwatch = local_cloud.client("cloudwatch")
    alarms = cloudwatch.describe_alarms(AlarmNames=resources["AWS::CloudWatch::Alarm"])["MetricAlarms"]
    assert len(alarms) == 4
    [shown] = resources["AWS::CloudWatch::Dashboard"]
    body = json.loads(cloudwatch.get_dashboard(DashboardName=shown)["DashboardBody"])
    assert sorted(body["widgets"][0]["properties"]["alarms"]) == sorted(alarm["AlarmArn"] for alarm in alarms)
    [group] = resources["AWS::AutoScaling::AutoScalingGroup"]
    [policy] = local_cloud.client("autoscaling").describe_policies(AutoScalingGroupName=group)[
        "ScalingPolicies"
    ]
    assert policy["TargetTrackingConfiguration"]["TargetValue"] == 60
    for name in ("IngotFleet", "IngotBuilder"):
        stack_id = settled(local_cloud, name)["StackId"]
        local_cloud.client("cloudformation").delete_stack(StackName=name)
        assert settled(local_cloud, stack_id)["StackStatus"] == "DELETE_COMPLETE", name
    assert not cloudwatch.describe_alarms()["MetricAlarms"]


def certificate(cloud: LocalCloud, directory: Path) -> str:
    """Import a certificate, as a company that has its own authority does; return its ARN."""
    key, pem = directory / "key.pem", directory / "certificate.pem"
    subject = ["-subj", "/CN=www.example.com", "-days", "2", "-nodes"]
    run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-keyout", str(key), "-out", str(pem), *subject])
    imported = cloud.client("acm").import_certificate(
        Certificate=pem.read_bytes(), PrivateKey=key.read_bytes()
    )
    return str(imported["CertificateArn"])


def test_everything_on_is_deployed_changed_and_deleted(
    local_cloud: LocalCloud, templates: Any, refreshes: Refreshes, tmp_path: Path
) -> None:
    topic = local_cloud.client("sns").create_topic(Name="on-call")["TopicArn"]
    wanted = {**EVERYTHING, "certificate_arn": certificate(local_cloud, tmp_path), "alarm_topics": topic}
    stack = create(local_cloud, "all", templates(**wanted)["IngotFleet"], Capabilities=["CAPABILITY_IAM"])
    assert stack["StackStatus"] == "CREATE_COMPLETE", events(local_cloud, "all")
    outputs, resources = outputs_of(stack), physical(local_cloud, "all")
    assert outputs["Url"] == "https://www.example.com"

    elb = local_cloud.client("elbv2")
    [balancer] = resources["AWS::ElasticLoadBalancingV2::LoadBalancer"]
    listeners = {line["Port"]: line for line in elb.describe_listeners(LoadBalancerArn=balancer)["Listeners"]}
    assert listeners[80]["DefaultActions"][0]["RedirectConfig"]["Protocol"] == "HTTPS"
    assert listeners[443]["Certificates"] == [{"CertificateArn": wanted["certificate_arn"]}]
    attributes = elb.describe_load_balancer_attributes(LoadBalancerArn=balancer)["Attributes"]
    settings = {line["Key"]: line["Value"] for line in attributes}
    [bucket] = resources["AWS::S3::Bucket"]
    assert (settings["access_logs.s3.enabled"], settings["access_logs.s3.bucket"]) == ("true", bucket)

    group = group_of(local_cloud, outputs["AutoScalingGroupName"])
    mixed = group["MixedInstancesPolicy"]
    types = [line["InstanceType"] for line in mixed["LaunchTemplate"]["Overrides"]]
    assert types == ["t3.small", "t3a.small", "m6i.large"]
    assert mixed["InstancesDistribution"]["OnDemandPercentageAboveBaseCapacity"] == 50
    assert mixed["LaunchTemplate"]["LaunchTemplateSpecification"]["Version"] == "1"
    assert len(group["VPCZoneIdentifier"].split(",")) == 3
    ec2 = local_cloud.client("ec2")
    [version] = ec2.describe_launch_template_versions(LaunchTemplateId=outputs["LaunchTemplateId"])[
        "LaunchTemplateVersions"
    ]
    data = version["LaunchTemplateData"]
    assert data["BlockDeviceMappings"][0]["Ebs"]["VolumeInitializationRate"] == 200
    assert data["Monitoring"] == {"Enabled": True}
    assert data["IamInstanceProfile"]
    assert len(resources["AWS::EC2::VPCEndpoint"]) == 2
    alarms = local_cloud.client("cloudwatch").describe_alarms(AlarmNames=resources["AWS::CloudWatch::Alarm"])
    assert {tuple(alarm["AlarmActions"] + alarm["OKActions"]) for alarm in alarms["MetricAlarms"]} == {
        (topic, topic)
    }

    # A new image, and a warm pool in the place of Spot capacity.
    wanted |= {"spot_percentage": 0, "on_demand_base": 0, "more_instance_types": "none", "warm_pool": 2}
    body = templates("changed", **wanted)["IngotFleet"]
    stack = update(local_cloud, "all", body, Capabilities=["CAPABILITY_IAM"])
    assert stack["StackStatus"] == "UPDATE_COMPLETE", events(local_cloud, "all")
    group = group_of(local_cloud, outputs["AutoScalingGroupName"])
    assert group["LaunchTemplate"]["Version"] == "2"
    pool = local_cloud.client("autoscaling").describe_warm_pool(
        AutoScalingGroupName=group["AutoScalingGroupName"]
    )
    assert (pool["WarmPoolConfiguration"]["MinSize"], pool["WarmPoolConfiguration"]["PoolState"]) == (
        2,
        "Stopped",
    )
    [(_, policy)] = refreshes.asked
    assert policy["Preferences"]["CheckpointPercentages"] == [50, 100]
    assert len(policy["Preferences"]["AlarmSpecification"]["Alarms"]) == 4

    local_cloud.client("cloudformation").delete_stack(StackName="all")
    assert settled(local_cloud, stack["StackId"])["StackStatus"] == "DELETE_COMPLETE"
    # Access logs outlive the stack.
    assert bucket in [line["Name"] for line in local_cloud.client("s3").list_buckets()["Buckets"]]
    assert not local_cloud.client("cloudwatch").describe_alarms()["MetricAlarms"]


def test_the_way_back_is_not_hindered_by_the_alarm_that_rings(
    local_cloud: LocalCloud, templates: Any, refreshes: Refreshes
) -> None:
    create(local_cloud, "back", templates("good")["IngotFleet"])
    refreshes.fails = True
    stack = update(local_cloud, "back", templates("bad")["IngotFleet"])
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    forth, back = (policy["Preferences"] for _, policy in refreshes.asked)
    assert "AlarmSpecification" in forth
    assert "AlarmSpecification" not in back


def test_a_fleet_that_serves_connections_is_deployed_and_reached_at_its_own_port(
    local_cloud: LocalCloud, templates: Any
) -> None:
    body = templates(protocol="TCP", port=18840, health_path="none")["IngotFleet"]
    stack = create(local_cloud, "broker", body, Capabilities=["CAPABILITY_IAM"])
    assert stack["StackStatus"] == "CREATE_COMPLETE", events(local_cloud, "broker")
    url = urlsplit(outputs_of(stack)["Url"])
    assert (url.scheme, url.port) == ("tcp", 18840)
    # There is no clone: the connection is taken, and reset.
    with (
        pytest.raises(ConnectionResetError),
        socket.create_connection((str(url.hostname), 18840), timeout=30) as connection,
    ):
        connection.recv(1)
    local_cloud.client("cloudformation").delete_stack(StackName="broker")
    assert settled(local_cloud, stack["StackId"])["StackStatus"] == "DELETE_COMPLETE"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((str(url.hostname), 18840), timeout=30)


def test_a_fleet_without_a_load_balancer_is_deployed_and_deleted(
    local_cloud: LocalCloud, templates: Any
) -> None:
    templates()  # registers the image
    app = App(analytics_reporting=False)
    workers = Stack(app, "workers")
    image = GoldenImage(workers, "Image", recipe="web")
    fleet = CloneFleet(
        workers, "Fleet", image=image, min_clones=0, max_clones=1, serving=Serving(balanced=False)
    )
    add_fleet_outputs(fleet)
    body = (Path(app.synth().directory) / "workers.template.json").read_text()
    stack = create(local_cloud, "workers", body, Capabilities=["CAPABILITY_IAM"])
    assert stack["StackStatus"] == "CREATE_COMPLETE", events(local_cloud, "workers")
    assert "Url" not in outputs_of(stack)
    group = group_of(local_cloud, outputs_of(stack)["AutoScalingGroupName"])
    assert (group["HealthCheckType"], group["TargetGroupARNs"]) == ("EC2", [])
    assert len(physical(local_cloud, "workers")["AWS::CloudWatch::Alarm"]) == 1
    local_cloud.client("cloudformation").delete_stack(StackName="workers")
    assert settled(local_cloud, stack["StackId"])["StackStatus"] == "DELETE_COMPLETE"


def failed(cloud: LocalCloud, name: str, resources: dict[str, Any]) -> str:
    """Create a stack that must fail; return why."""
    stack = create(cloud, name, json.dumps({"Resources": resources}))
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    return " ".join(reason for _, status, reason in events(cloud, name) if status == "CREATE_FAILED")


def test_access_logs_in_a_bucket_that_lets_nobody_write_are_refused(local_cloud: LocalCloud) -> None:
    default = [{"Name": "default-for-az", "Values": ["true"]}]  # one in each zone
    subnets = local_cloud.client("ec2").describe_subnets(Filters=default)["Subnets"]
    local_cloud.client("s3").create_bucket(Bucket="closed-to-logs")
    attributes = {"access_logs.s3.enabled": "true", "access_logs.s3.bucket": "closed-to-logs"}
    balancer = {
        "Type": "AWS::ElasticLoadBalancingV2::LoadBalancer",
        "Properties": {
            "Subnets": [subnet["SubnetId"] for subnet in subnets[:2]],
            "LoadBalancerAttributes": [{"Key": key, "Value": value} for key, value in attributes.items()],
        },
    }
    why = failed(local_cloud, "closed", {"Balancer": balancer})
    assert "Access Denied for bucket: closed-to-logs. Please check S3bucket permission" in why


def test_a_strategy_that_the_local_cloud_lacks_is_refused(
    local_cloud: LocalCloud, refreshes: Refreshes
) -> None:
    one, two = local_cloud.image("strategy-one"), local_cloud.image("strategy-two")
    body = fleet(one).replace('"Strategy": "Rolling"', '"Strategy": "ReplaceRootVolume"')
    create(local_cloud, "strategy", body)
    stack = update(local_cloud, "strategy", body.replace(one, two))
    assert stack["StackStatus"] in ("UPDATE_ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED")
    reasons = [reason for _, status, reason in events(local_cloud, "strategy") if status == "UPDATE_FAILED"]
    assert any("with the strategy Rolling only, not ReplaceRootVolume" in reason for reason in reasons)


def test_a_warm_pool_beside_spot_capacity_is_refused(local_cloud: LocalCloud) -> None:
    resources = json.loads(fleet(local_cloud.image("spot")))["Resources"]
    group = resources["Clones"]["Properties"]
    group["MixedInstancesPolicy"] = {
        "LaunchTemplate": {"LaunchTemplateSpecification": group.pop("LaunchTemplate")},
        "InstancesDistribution": {"OnDemandPercentageAboveBaseCapacity": 0},
    }
    resources["Pool"] = {
        "Type": "AWS::AutoScaling::WarmPool",
        "Properties": {"AutoScalingGroupName": {"Ref": "Clones"}, "MinSize": 1},
    }
    assert "mixed instances policy with Spot Instances" in failed(local_cloud, "spot", resources)
