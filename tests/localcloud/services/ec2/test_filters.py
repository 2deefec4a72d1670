"""Filters of Describe calls. Source: EC2 API reference."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.localcloud.conftest import code_of

DESCRIBE = [
    "instances", "images", "snapshots", "vpcs", "subnets", "security_groups", "launch_templates", "volumes",
    "route_tables", "network_interfaces",
]  # fmt: skip


def test_a_filter_takes_200_values(client: Any) -> None:
    ids = [f"i-{number:017x}" for number in range(201)]
    client("ec2").describe_instances(Filters=[{"Name": "instance-id", "Values": ids[:200]}])
    with pytest.raises(ClientError) as caught:
        client("ec2").describe_instances(Filters=[{"Name": "instance-id", "Values": ids}])
    assert code_of(caught) == "FilterLimitExceeded"


@pytest.mark.parametrize("what", [*DESCRIBE, "availability_zones", "instance_types"])
def test_a_filter_has_a_name_that_ec2_knows(client: Any, what: str) -> None:
    with pytest.raises(ClientError, match="The filter 'no-such-filter' is invalid") as caught:
        getattr(client("ec2"), f"describe_{what}")(Filters=[{"Name": "no-such-filter", "Values": ["x"]}])
    assert code_of(caught) == "InvalidParameterValue"


@pytest.mark.parametrize("what", DESCRIBE)
def test_filters_by_tag_are_known_everywhere(client: Any, what: str) -> None:
    filters = [{"Name": "tag:Name", "Values": ["x"]}, {"Name": "tag-key", "Values": ["Name"]}]
    answer = getattr(client("ec2"), f"describe_{what}")(Filters=filters)
    assert [found for found in answer.values() if isinstance(found, list)] == [[]]


def test_older_spellings_of_filters_are_known(client: Any) -> None:
    def found(what: str, name: str, value: str) -> Any:
        answer = getattr(client("ec2"), f"describe_{what}")(Filters=[{"Name": name, "Values": [value]}])
        return answer[what.title()]

    [vpc] = found("vpcs", "isDefault", "true")
    subnets = found("subnets", "defaultForAz", "true")
    assert {subnet["VpcId"] for subnet in subnets} == {vpc["VpcId"]}
    block = subnets[0]["CidrBlock"]
    assert [subnet["SubnetId"] for subnet in found("subnets", "cidr", block)] == [subnets[0]["SubnetId"]]
    assert found("addresses", "domain", "vpc") == []


@pytest.mark.parametrize(
    ("call", "name"),
    [
        ("vpcs", "VpcId"),
        ("vpcs", "Is-Default"),
        ("vpcs", "isdefault"),
        ("availability_zones", "tag:Name"),
    ],
)
def test_filters_are_spelled_as_ec2_spells_them(client: Any, call: str, name: str) -> None:
    with pytest.raises(ClientError, match=f"The filter '{name}' is invalid"):
        getattr(client("ec2"), f"describe_{call}")(Filters=[{"Name": name, "Values": ["x"]}])
