"""Where a fleet's clones and its load balancer are."""

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk.assertions import Template

from ingot.constructs import CloneFleet, GoldenImage
from ingot.errors import InputError

KINDS = {
    "public": ec2.SubnetType.PUBLIC,
    "private": ec2.SubnetType.PRIVATE_WITH_EGRESS,
    "isolated": ec2.SubnetType.PRIVATE_ISOLATED,
}


def vpc_with(stack: Stack, *kinds: str, zones: int = 2) -> ec2.Vpc:
    subnets = [ec2.SubnetConfiguration(name=kind, subnet_type=KINDS[kind]) for kind in kinds]
    nat = 1 if "private" in kinds else 0
    return ec2.Vpc(stack, "Given", max_azs=zones, nat_gateways=nat, subnet_configuration=subnets)


def clone_subnets(stack: Stack) -> set[str]:
    [group] = Template.from_stack(stack).find_resources("AWS::AutoScaling::AutoScalingGroup").values()
    return {reference["Ref"][5:12] for reference in group["Properties"]["VPCZoneIdentifier"]}


@pytest.mark.parametrize(
    ("kinds", "egress", "chosen"),
    [
        (("public", "private", "isolated"), False, "isolate"),
        (("public", "private", "isolated"), True, "private"),
        (("public", "private"), False, "private"),
    ],
)
def test_clones_are_in_the_most_closed_subnets_that_serve(stack, image, kinds, egress, chosen):
    CloneFleet(stack, "Fleet", image=image, vpc=vpc_with(stack, *kinds), egress=egress)
    assert clone_subnets(stack) == {chosen}


@pytest.mark.parametrize(
    ("kinds", "egress", "message"),
    [
        (
            ("public",),
            False,
            "the VPC has no isolated or private subnets; there is: 2 public, 0 private, 0 isolated",
        ),
        (
            ("public", "isolated"),
            True,
            "no private subnets, which egress needs; there is: 2 public, 0 private, 2 isolated",
        ),
    ],
)
def test_public_subnets_are_never_taken_unasked(stack, image, kinds, egress, message):
    with pytest.raises(InputError, match=message) as caught:
        CloneFleet(stack, "Fleet", image=image, vpc=vpc_with(stack, *kinds), egress=egress)
    assert "clone_subnets=" in str(caught.value)


def test_public_subnets_are_taken_when_they_are_named(stack, image):
    public = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PUBLIC)
    CloneFleet(stack, "Fleet", image=image, vpc=vpc_with(stack, "public"), clone_subnets=public)
    assert clone_subnets(stack) == {"publicS"}


@pytest.mark.parametrize(
    ("kinds", "zones", "facing", "message"),
    [
        (("isolated",), 2, True, "needs public subnets in two zones; the VPC has them in 0"),
        (("public", "isolated"), 1, True, "needs public subnets in two zones; the VPC has them in 1"),
        (("public",), 2, False, "needs private or isolated subnets in two zones; the VPC has them in 0"),
    ],
)
def test_a_load_balancer_needs_two_zones(stack, image, kinds, zones, facing, message):
    with pytest.raises(InputError, match=message):
        CloneFleet(
            stack, "Fleet", image=image, vpc=vpc_with(stack, *kinds, zones=zones), internet_facing=facing
        )


def test_its_own_network_is_in_the_zones_that_are_named(project):
    known = {
        "availability-zones:account=111122223333:region=eu-central-1": [f"eu-central-1{z}" for z in "abc"]
    }
    stack = Stack(App(context=known), "There", env={"account": "111122223333", "region": "eu-central-1"})
    image = GoldenImage(stack, "Image", recipe="web")
    CloneFleet(stack, "Fleet", image=image, zones=("eu-central-1c", "eu-central-1a"))
    subnets = Template.from_stack(stack).find_resources("AWS::EC2::Subnet").values()
    assert {subnet["Properties"]["AvailabilityZone"] for subnet in subnets} == {
        "eu-central-1a",
        "eu-central-1c",
    }
    with pytest.raises(InputError, match="zones us-east-1a; the stack knows eu-central-1a, eu-central-1b"):
        CloneFleet(stack, "Strange", image=image, zones=("us-east-1a", "eu-central-1a"))


@pytest.mark.parametrize("zones", [("a",), ("a", "a"), ()])
def test_zones_are_two_at_least_each_once(stack, image, zones):
    with pytest.raises(InputError, match="zones must name two at least, each once"):
        CloneFleet(stack, "Fleet", image=image, zones=zones)
