"""Fleets and clones of images whose root is on an instance store."""

import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk.assertions import Template

from ingot.constructs import Clone, CloneFleet, GoldenImage, Refresh, WarmPool
from ingot.errors import InputError
from tests.constructs.fleet.test_clone_fleet import one
from tests.constructs.recipes import write_recipe


@pytest.fixture
def image(project, stack):
    write_recipe(project, size="2GiB, device: instance-store")
    return GoldenImage(stack, "Image", recipe="web")


def test_clones_have_no_root_volume_and_an_old_type(stack, image):
    CloneFleet(stack, "Fleet", image=image)
    data = one(Template.from_stack(stack), "AWS::EC2::LaunchTemplate")["Properties"]["LaunchTemplateData"]
    assert (data["ImageId"], data["InstanceType"]) == (image.ami_id, "m3.medium")
    assert "BlockDeviceMappings" not in data


def test_a_clone_alone_has_neither(stack, image):
    isolated = ec2.SubnetConfiguration(name="Clones", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)
    vpc = ec2.Vpc(stack, "Vpc", max_azs=2, subnet_configuration=[isolated], nat_gateways=0)
    Clone(stack, "Clone", image=image, vpc=vpc, instance_type="r3.large")
    instance = one(Template.from_stack(stack), "AWS::EC2::Instance")["Properties"]
    assert instance["InstanceType"] == "r3.large"
    assert "BlockDeviceMappings" not in instance
    with pytest.raises(
        InputError, match=r"t3\.small does not start an AMI with its root on an instance store"
    ):
        Clone(stack, "Other", image=image, vpc=vpc, instance_type="t3.small")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"instance_type": "t3.small"},
            "t3.small does not start .* only C1, C3, D2, I2, M1, M2, M3, R3, X1 do",
        ),
        ({"more_instance_types": ("m7i.large",)}, "m7i.large does not start"),
        (
            {"refresh": Refresh(strategy="REPLACE_ROOT_VOLUME", min_healthy_percentage=50)},
            "is on an instance store: the strategy REPLACE_ROOT_VOLUME",
        ),
        ({"volume_initialization_rate": 200}, "volume_initialization_rate, which is of EBS volumes"),
        ({"warm_pool": WarmPool()}, "a warm pool of stopped clones"),
    ],
)
def test_options_that_take_a_root_volume(stack, image, options, message):
    with pytest.raises(InputError, match=message):
        CloneFleet(stack, "Fleet", image=image, **options)


def test_a_warm_pool_of_running_clones_will_do(stack, image):
    CloneFleet(stack, "Fleet", image=image, warm_pool=WarmPool(running=True))
    pool = one(Template.from_stack(stack), "AWS::AutoScaling::WarmPool")["Properties"]
    assert pool["PoolState"] == "Running"
