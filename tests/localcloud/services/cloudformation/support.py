"""Stacks for tests: templates, and operations that are waited for."""

import json
import time
from collections.abc import Mapping
from typing import Any

from tests.localcloud.conftest import LocalCloud

PARAMETER = {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "/t/p", "Type": "String", "Value": "one"}}
# Fails when it is created: a subnet in a VPC that does not exist.
BROKEN = {
    "Type": "AWS::EC2::Subnet",
    "Properties": {"VpcId": "vpc-0123456789abcdef0", "CidrBlock": "10.0.0.0/24"},
}


def template(resources: Mapping[str, Any], **sections: Any) -> str:
    return json.dumps({"Resources": resources, **sections})


def parameter(name: Any, value: Any, **more: Any) -> dict[str, Any]:
    return {
        "Type": "AWS::SSM::Parameter",
        "Properties": {"Name": name, "Type": "String", "Value": value},
        **more,
    }


def settled(cloud: LocalCloud, name: str) -> dict[str, Any]:
    """Wait for the end of the stack's operation."""
    client = cloud.client("cloudformation")
    deadline = time.monotonic() + 300
    while True:
        stack: dict[str, Any] = client.describe_stacks(StackName=name)["Stacks"][0]
        if not stack["StackStatus"].endswith("_IN_PROGRESS"):
            return stack
        assert time.monotonic() < deadline, stack
        time.sleep(0.05)


def create(cloud: LocalCloud, name: str, body: str, **parameters: Any) -> dict[str, Any]:
    stack_id = cloud.client("cloudformation").create_stack(StackName=name, TemplateBody=body, **parameters)[
        "StackId"
    ]
    return settled(cloud, stack_id)


def update(cloud: LocalCloud, name: str, body: str, **parameters: Any) -> dict[str, Any]:
    cloud.client("cloudformation").update_stack(StackName=name, TemplateBody=body, **parameters)
    return settled(cloud, name)


def value_of(cloud: LocalCloud, name: str) -> str | None:
    ssm = cloud.client("ssm")
    try:
        return str(ssm.get_parameter(Name=name)["Parameter"]["Value"])
    except ssm.exceptions.ParameterNotFound:
        return None


def events(cloud: LocalCloud, name: str) -> list[tuple[str, str, str]]:
    listed = cloud.client("cloudformation").describe_stack_events(StackName=name)["StackEvents"]
    assert [e["Timestamp"] for e in listed] == sorted((e["Timestamp"] for e in listed), reverse=True)
    return [
        (e["LogicalResourceId"], e["ResourceStatus"], e.get("ResourceStatusReason", ""))
        for e in reversed(listed)
    ]
