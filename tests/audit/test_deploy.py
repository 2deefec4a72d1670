"""`ingot deploy` by somebody with the policies of the docs: nothing that it asks is refused."""

import json

import pytest

from ingot.pipeline.deploy import DeployOptions, deploy
from tests.audit.account import REGION, document
from tests.audit.publisher import Publisher
from tests.cli.test_deploy import CDK, DIGEST, launching, program, write_assembly

CHECKS = {"ec2:DescribeInstanceTypes", "ec2:DescribeInstanceTypeOfferings", "ec2:DescribeAvailabilityZones"}


@pytest.fixture
def project(account, consoles, builder_stack, tmp_path, monkeypatch):
    """An app whose image is published, and an environment with the credentials of a role."""
    (tmp_path / "publisher").mkdir()
    publisher = Publisher(account, consoles, tmp_path / "publisher")
    digest = publisher.publishes(account.root_by_proxy).digest
    program(tmp_path / "node_modules" / ".bin" / "cdk", CDK)
    write_assembly(tmp_path / "cdk.out")
    launching(tmp_path, "t3.small")
    template = tmp_path / "cdk.out" / "IngotFleet.template.json"
    content = json.loads(template.read_text())
    subnets = {name: {"Fn::Select": [number, {"Fn::GetAZs": ""}]} for number, name in enumerate(("A", "B"))}
    content["Resources"] |= {
        name: {"Type": "AWS::EC2::Subnet", "Properties": {"AvailabilityZone": zone}}
        for name, zone in subnets.items()
    }
    content["Resources"]["Group"] = {
        "Type": "AWS::AutoScaling::AutoScalingGroup",
        "Properties": {
            "LaunchTemplate": {"LaunchTemplateId": {"Ref": "Clones"}, "Version": "1"},
            "VPCZoneIdentifier": [{"Ref": name} for name in subnets],
        },
    }
    template.write_text(json.dumps(content))
    for file in (tmp_path / "cdk.out").glob("*.json"):
        file.write_text(file.read_text().replace(DIGEST, digest))
    (tmp_path / "cdk.json").write_text(json.dumps({"context": {"ingot:builder_stack": "IngotBuilder"}}))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    account.clients_with(document("publish"), document("look"))
    given = account.credentials(account.iam.get_role(RoleName="tester")["Role"]["Arn"])
    for key, value in {
        "AWS_ENDPOINT_URL": account.url,
        "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
        "AWS_SESSION_TOKEN": given["SessionToken"],
        "AWS_REGION": REGION,
        "INGOT_HOME": str(tmp_path / "home"),
        "RECORDS": str(tmp_path),
    }.items():
        monkeypatch.setenv(key, value)
    return tmp_path


def test_all_that_a_deployment_asks_is_allowed(project, account):
    asked = account.asked(lambda: deploy(project, DeployOptions(), lambda _line: None))
    refused = [access.action for access in account.denied()]
    assert not refused
    assert asked >= CHECKS | {"ssm:GetParameter", "cloudformation:DescribeStacks"}
