"""A CDK app of ordinary constructs through the real CDK CLI: replacement, roll-back, imports, destruction."""

import json
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, BootstraplessSynthesizer, Duration, Environment, RemovalPolicy, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_ssm as ssm

from tests.localcloud.conftest import LocalCloud
from tests.localcloud.services.cloudformation.support import events, value_of
from tests.localcloud.services.cloudformation.test_cdk import cdk


def synthesized(
    directory: Path, *, bucket: str, subnet: str | None = None, imports: str | None = None
) -> Path:
    """Write the cloud assembly of an app.

    ``bucket``: the name of its bucket, whose change replaces it. ``subnet``: the range of one more subnet.
    ``imports``: the name of a bucket that exists.
    """
    app = App(outdir=str(directory))
    where = Environment(account="123456789012", region="us-east-1")
    # Without a bootstrap stack: `cdk bootstrap` has its own test.
    stack = Stack(app, "Ordinary", env=where, synthesizer=BootstraplessSynthesizer())
    vpc = ec2.Vpc(
        stack, "Vpc", availability_zones=["us-east-1a", "us-east-1b"], nat_gateways=0,
        restrict_default_security_group=False,
        ip_addresses=ec2.IpAddresses.cidr("10.60.0.0/16"),
        subnet_configuration=[
            ec2.SubnetConfiguration(name="public", subnet_type=ec2.SubnetType.PUBLIC, cidr_mask=24)
        ],
    )  # fmt: skip
    group = ec2.SecurityGroup(stack, "Web", vpc=vpc)
    group.add_ingress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(443))
    data = s3.Bucket(stack, "Data", bucket_name=bucket, removal_policy=RemovalPolicy.DESTROY)
    role = iam.Role(stack, "Role", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
    data.grant_read(role)
    topic = sns.Topic(stack, "Topic")
    logs.LogGroup(stack, "Logs", retention=logs.RetentionDays.ONE_WEEK, removal_policy=RemovalPolicy.DESTROY)
    metric = cloudwatch.Metric(namespace="app", metric_name="errors", period=Duration.minutes(1))
    alarm = metric.create_alarm(stack, "Errors", threshold=1, evaluation_periods=1)
    cloudwatch.CompositeAlarm(
        stack, "Any", alarm_rule=cloudwatch.AlarmRule.any_of(alarm, cloudwatch.AlarmRule.from_boolean(False))
    )
    name = ssm.StringParameter(
        stack, "Name", parameter_name="/ordinary/bucket", string_value=data.bucket_name
    )
    name.node.add_dependency(topic)
    if subnet is not None:
        more = ec2.CfnSubnet(stack, "More", vpc_id=vpc.vpc_id, cidr_block=subnet)
        more.node.add_dependency(name)
    if imports is not None:
        s3.Bucket(stack, "Old", bucket_name=imports, removal_policy=RemovalPolicy.RETAIN)
    app.synth()
    return directory


@pytest.mark.slow
def test_a_cdk_app_is_deployed_changed_rolled_back_imported_into_and_destroyed(
    local_cloud: LocalCloud, tmp_path: Path
) -> None:
    s3_client = local_cloud.client("s3")

    def buckets() -> set[str]:
        return {bucket["Name"] for bucket in s3_client.list_buckets()["Buckets"]}

    def run(command: str, directory: Path, *words: str) -> str:
        done = cdk(local_cloud, tmp_path, command, "-a", str(directory), *words)
        said = done.stdout + done.stderr
        assert done.returncode == (0 if command != "deploy" or "fails" not in directory.name else 1), said
        return said

    never = ("--require-approval", "never")
    run("deploy", synthesized(tmp_path / "first", bucket="ordinary-one"), *never)
    assert buckets() == {"ordinary-one"}
    assert value_of(local_cloud, "/ordinary/bucket") == "ordinary-one"
    said = run("deploy", synthesized(tmp_path / "replaces", bucket="ordinary-two"), *never)
    assert buckets() == {"ordinary-two"}, said
    assert value_of(local_cloud, "/ordinary/bucket") == "ordinary-two"

    # Outside of the VPC's range: EC2 refuses it after the bucket was replaced once more.
    fails = synthesized(tmp_path / "fails", bucket="ordinary-three", subnet="10.99.0.0/24")
    assert "More" in run("deploy", fails, *never)
    [stack] = local_cloud.client("cloudformation").describe_stacks(StackName="Ordinary")["Stacks"]
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE", events(local_cloud, "Ordinary")
    assert buckets() == {"ordinary-two"}
    assert value_of(local_cloud, "/ordinary/bucket") == "ordinary-two"

    s3_client.create_bucket(Bucket="was-there")
    mapped = tmp_path / "mapping.json"
    takes = synthesized(tmp_path / "takes", bucket="ordinary-two", imports="was-there")
    mapped.write_text(json.dumps(mapping(takes)))
    run("import", takes, "Ordinary", "--resource-mapping", str(mapped))
    resources = local_cloud.client("cloudformation").describe_stack_resources(StackName="Ordinary")
    assert "was-there" in [r["PhysicalResourceId"] for r in resources["StackResources"]]

    run("destroy", takes, "--all", "--force")
    assert buckets() == {"was-there"}
    assert value_of(local_cloud, "/ordinary/bucket") is None


def mapping(directory: Path) -> dict[str, Any]:
    """Return which bucket the one to import is, for ``cdk import --resource-mapping``."""
    template = json.loads((directory / "Ordinary.template.json").read_text())
    [name] = [name for name in template["Resources"] if name.startswith("Old")]
    return {name: {"BucketName": "was-there"}}
