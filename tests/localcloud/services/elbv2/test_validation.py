"""What Elastic Load Balancing refuses. Source: its API reference."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.localcloud.conftest import code_of


def test_a_port_has_one_listener(client: Any) -> None:
    ec2, elb = client("ec2"), client("elbv2")
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"][:2]]
    balancers = [
        elb.create_load_balancer(Name=name, Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
        for name in ("one", "two")
    ]
    answer = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}

    def listen(balancer: str, port: int) -> str:
        created = elb.create_listener(
            LoadBalancerArn=balancer, Protocol="HTTP", Port=port, DefaultActions=[answer]
        )
        arn: str = created["Listeners"][0]["ListenerArn"]
        return arn

    first = listen(balancers[0], 80)
    assert listen(balancers[1], 80), "another load balancer's port is free"
    other = listen(balancers[0], 81)
    with pytest.raises(ClientError) as caught:
        listen(balancers[0], 80)
    assert code_of(caught) == "DuplicateListener"
    with pytest.raises(ClientError) as caught:
        elb.modify_listener(ListenerArn=other, Port=80, DefaultActions=[answer])
    assert code_of(caught) == "DuplicateListener"
    elb.modify_listener(ListenerArn=first, Port=80, DefaultActions=[answer])


def zones(client: Any) -> list[str]:
    return [subnet["SubnetId"] for subnet in client("ec2").describe_subnets()["Subnets"]]


@pytest.mark.parametrize("name", ["x" * 33, "under_score", "-first", "last-", "internal-one"])
def test_a_load_balancer_has_a_name_of_a_form(client: Any, name: str) -> None:
    with pytest.raises(ClientError) as caught:
        client("elbv2").create_load_balancer(Name=name, Subnets=zones(client)[:2])
    assert code_of(caught) == "ValidationError"


def test_an_application_load_balancer_stands_in_two_zones(client: Any) -> None:
    with pytest.raises(ClientError, match="two different Availability Zones") as caught:
        client("elbv2").create_load_balancer(Name="narrow", Subnets=zones(client)[:1])
    assert code_of(caught) == "ValidationError"
    client("elbv2").create_load_balancer(Name="network", Type="network", Subnets=zones(client)[:1])


def test_deletion_protection_protects(client: Any) -> None:
    elb = client("elbv2")
    balancer = elb.create_load_balancer(Name="protected", Subnets=zones(client)[:2])["LoadBalancers"][0]
    arn = balancer["LoadBalancerArn"]

    def protect(value: str) -> None:
        attribute = {"Key": "deletion_protection.enabled", "Value": value}
        elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=[attribute])

    protect("true")
    with pytest.raises(ClientError) as caught:
        elb.delete_load_balancer(LoadBalancerArn=arn)
    assert code_of(caught) == "OperationNotPermitted"
    protect("false")
    elb.delete_load_balancer(LoadBalancerArn=arn)
