"""Data volumes of fleets and single clones: what the template has, and what contradicts recipe or EBS."""

import json
from pathlib import Path

import pytest
from aws_cdk import Aspects, Size, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk.assertions import Annotations, Match, Template
from cdk_nag import AwsSolutionsChecks
from cfnlint.api import lint
from cfnlint.config import ManualArgs

from ingot.constructs import Clone, CloneFleet, GoldenImage, Volume
from ingot.errors import InputError
from tests.constructs.fleet.test_clone_fleet import one
from tests.constructs.recipes import write_recipe

RECIPE = """\
name: db
base: {debian: bookworm}
root_volume: {size: 2GiB}
volumes:
  - {name: data, mount: /srv/data, size: 20GiB}
  - {name: logs, mount: /srv/logs, size: 1GiB}
"""
GP3 = {"DeleteOnTermination": True, "Encrypted": True, "VolumeType": "gp3"}


@pytest.fixture
def image(project: Path, stack: Stack) -> GoldenImage:
    write_recipe(project, "db", configured=RECIPE, requested={})
    return GoldenImage(stack, "Image", recipe="db")


def mappings(template: Template) -> dict:
    data = one(template, "AWS::EC2::LaunchTemplate")["Properties"]["LaunchTemplateData"]
    return {mapping["DeviceName"]: mapping["Ebs"] for mapping in data["BlockDeviceMappings"]}


def test_clones_have_the_volumes_that_the_recipe_declares(stack, image):
    CloneFleet(stack, "Fleet", image=image)
    found = mappings(Template.from_stack(stack))
    assert set(found) == {"/dev/xvda", "/dev/sdf", "/dev/sdg"}
    assert found["/dev/sdf"] == {**GP3, "VolumeSize": 20}
    assert found["/dev/sdg"] == {**GP3, "VolumeSize": 1}


def test_a_fleet_says_more_and_its_template_is_sound(stack, image):
    key = kms.Key(stack, "Key", enable_key_rotation=True)
    fast = Volume(size=Size.tebibytes(1), iops=8000, throughput=2000, key=key, keep=True)
    CloneFleet(stack, "Fleet", image=image, volumes={"data": fast})
    Aspects.of(stack).add(AwsSolutionsChecks())
    template = Template.from_stack(stack)
    assert mappings(template)["/dev/sdf"] == {
        **GP3, "DeleteOnTermination": False, "VolumeSize": 1024, "Iops": 8000, "Throughput": 2000,
        "KmsKeyId": stack.resolve(key.key_arn),
    }  # fmt: skip
    text = json.dumps(template.to_json())
    assert lint(text, config=ManualArgs(regions=["eu-central-1"], ignore_checks=["W"])) == []
    assert Annotations.from_stack(stack).find_error("*", Match.string_like_regexp("AwsSolutions-KMS.*")) == []
    grants = [
        statement
        for statement in one(template, "AWS::KMS::Key")["Properties"]["KeyPolicy"]["Statement"]
        if "AWSServiceRoleForAutoScaling" in json.dumps(statement["Principal"])
    ]
    assert {"Bool": {"kms:GrantIsForAWSResource": "true"}} in [one.get("Condition") for one in grants]
    assert any("kms:GenerateDataKey*" in statement["Action"] for statement in grants)


def test_a_single_clone_has_them_as_well(stack, image):
    subnets = ec2.SubnetConfiguration(name="Clones", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)
    vpc = ec2.Vpc(stack, "Vpc", max_azs=2, subnet_configuration=[subnets], nat_gateways=0)
    Clone(stack, "Clone", image=image, vpc=vpc, volumes={"logs": Volume(size=Size.gibibytes(5))})
    instance = one(Template.from_stack(stack), "AWS::EC2::Instance")["Properties"]
    found = {mapping["DeviceName"]: mapping["Ebs"] for mapping in instance["BlockDeviceMappings"]}
    assert found["/dev/sdg"] == {**GP3, "VolumeSize": 5}
    assert found["/dev/sdf"]["VolumeSize"] == 20


@pytest.mark.parametrize(
    ("options", "device", "wanted"),
    [
        ({"volumes": {"data": Volume(throughput=500)}}, "/dev/sdf", {"VolumeSize": 20, "Throughput": 500}),
        (
            {"volume_initialization_rate": 200},
            "/dev/xvda",
            {"VolumeSize": 2, "VolumeInitializationRate": 200},
        ),
    ],
)
def test_a_single_clone_has_what_only_launch_templates_know(stack, image, options, device, wanted):
    subnets = ec2.SubnetConfiguration(name="Clones", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)
    vpc = ec2.Vpc(stack, "Vpc", max_azs=2, subnet_configuration=[subnets], nat_gateways=0)
    Clone(stack, "Clone", image=image, vpc=vpc, **options)
    template = Template.from_stack(stack)
    instance = one(template, "AWS::EC2::Instance")["Properties"]
    assert "BlockDeviceMappings" not in instance
    [version] = instance["LaunchTemplate"]["Version"].values()
    assert version[1] == "LatestVersionNumber"
    assert mappings(template)[device] == {**GP3, **wanted}
    assert set(mappings(template)) == {"/dev/xvda", "/dev/sdf", "/dev/sdg"}
    assert (
        Annotations.from_stack(stack).find_warning("*", Match.string_like_regexp(".*not supported.*")) == []
    )
    text = json.dumps(template.to_json())
    assert lint(text, config=ManualArgs(regions=["eu-central-1"], ignore_checks=["W"])) == []


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        (
            Volume(size=Size.gibibytes(19)),
            "size must be from 20 GiB, .* to 65536 GiB, not 19",
        ),
        (
            Volume(size=Size.tebibytes(65)),
            "size must be from 20 GiB, .* to 65536 GiB, not 66560",
        ),
        (Volume(iops=2999), "iops must be from 3000 to 10000 with 20 GiB, not 2999"),
        (Volume(iops=10001), "iops must be from 3000 to 10000 with 20 GiB, not 10001"),
        (
            Volume(size=Size.tebibytes(1), iops=80001),
            "iops must be from 3000 to 80000 .*, not 80001",
        ),
        (Volume(throughput=124), "throughput must be from 125 to 750 MiB/s with 3000 iops, not 124"),
        (Volume(throughput=751), "throughput must be from 125 to 750 MiB/s with 3000 iops, not 751"),
    ],
)
def test_what_ebs_would_refuse_is_refused_at_synthesis(stack, image, volume, message):
    with pytest.raises(InputError, match=f"volume data: {message}"):
        CloneFleet(stack, "Fleet", image=image, volumes={"data": volume})


def test_a_volume_that_the_recipe_does_not_declare_is_refused(stack, image):
    with pytest.raises(InputError, match="the volume more, which the recipe db does not declare"):
        CloneFleet(stack, "Fleet", image=image, volumes={"more": Volume()})
