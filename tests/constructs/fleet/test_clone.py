"""A single clone."""

import pytest
from aws_cdk import Aspects
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk.assertions import Annotations, Match, Template
from cdk_nag import AwsSolutionsChecks

from ingot.constructs import Clone, GoldenImage
from ingot.errors import InputError
from tests.constructs.fleet.test_clone_fleet import one
from tests.constructs.recipes import write_recipe

CONFIGURED = """\
name: app
base: {debian: bookworm}
root_volume: {size: 2GiB}
configuration: {secrets: {password: {}}}
"""


@pytest.fixture
def vpc(stack):
    isolated = ec2.SubnetConfiguration(name="Clones", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)
    return ec2.Vpc(stack, "Vpc", max_azs=2, subnet_configuration=[isolated], nat_gateways=0)


def test_it_is_as_closed_as_the_clones_of_a_fleet(stack, image, vpc):
    Clone(stack, "Clone", image=image, vpc=vpc)
    template = Template.from_stack(stack)
    instance = one(template, "AWS::EC2::Instance")["Properties"]
    assert instance["ImageId"] == image.ami_id
    assert instance["MetadataOptions"] == {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}
    ebs = instance["BlockDeviceMappings"][0]["Ebs"]
    assert ebs == {"Encrypted": True, "DeleteOnTermination": True, "VolumeType": "gp3", "VolumeSize": 2}
    assert not {"KeyName", "UserData"} & set(instance)
    assert {"Key": "ingot:recipe", "Value": "web"} in instance["Tags"]
    template.resource_count_is("AWS::IAM::Policy", 0)
    template.resource_count_is("AWS::ElasticLoadBalancingV2::LoadBalancer", 0)
    group = one(template, "AWS::EC2::SecurityGroup")["Properties"]
    assert "SecurityGroupIngress" not in group
    assert group["SecurityGroupEgress"]
    assert all(rule["CidrIp"] != "0.0.0.0/0" for rule in group["SecurityGroupEgress"])


def test_it_is_granted_to_and_connected(stack, image, vpc):
    clone = Clone(stack, "Clone", image=image, vpc=vpc)
    secretsmanager.Secret(stack, "Secret").grant_read(clone)
    peer = ec2.SecurityGroup(stack, "Peer", vpc=vpc)
    ec2.Connections(security_groups=[peer], default_port=ec2.Port.tcp(5432)).allow_default_port_from(clone)
    template = Template.from_stack(stack)
    policy = one(template, "AWS::IAM::Policy")["Properties"]
    assert policy["Roles"] == [stack.resolve(clone.role.role_name)]
    rule = one(template, "AWS::EC2::SecurityGroupIngress")["Properties"]
    assert rule["SourceSecurityGroupId"] == stack.resolve(
        clone.connections.security_groups[0].security_group_id
    )
    # The instance starts when its role has its permissions.
    assert any("Policy" in name for name in one(template, "AWS::EC2::Instance")["DependsOn"])


def test_it_is_told_its_configuration_and_reaches_it(stack, project, vpc):
    write_recipe(project, "app", configured=CONFIGURED)
    image = GoldenImage(stack, "Image", recipe="app")
    secret = secretsmanager.Secret(stack, "Secret")
    Clone(stack, "Clone", image=image, vpc=vpc, secrets={"password": secret}, make_endpoints=True)
    template = Template.from_stack(stack)
    text = str(one(template, "AWS::EC2::Instance")["Properties"]["UserData"])
    assert "# ingot: secret password secret " in text
    assert one(template, "AWS::IAM::Policy")["Properties"]["PolicyDocument"]["Statement"][0]["Action"] == (
        "secretsmanager:GetSecretValue"
    )
    template.resource_count_is("AWS::EC2::VPCEndpoint", 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"instance_type": "m6g.large"}, "m6g.large is an arm64 machine"),
        (
            {"volume_initialization_rate": 50},
            "volume_initialization_rate must be from 100 to 300",
        ),
        ({"security_groups": []}, "security_groups is empty"),
        ({"environment": {"A": "b"}}, "the variable A, which the recipe web does not declare"),
        ({"egress": True}, "the VPC has no private subnets, which egress needs"),
    ],
)
def test_what_cannot_be_is_refused(stack, image, vpc, options, message):
    with pytest.raises(InputError, match=f"Test/Clone: .*{message}"):
        Clone(stack, "Clone", image=image, vpc=vpc, **options)


def test_cdk_nag_finds_nothing_that_no_reason_answers(stack, image, vpc):
    clone = Clone(stack, "Clone", image=image, vpc=vpc)
    Aspects.of(clone).add(AwsSolutionsChecks(verbose=True))
    found = Annotations.from_stack(stack).find_error("*", Match.string_like_regexp("AwsSolutions-.*"))
    assert [entry.entry.data for entry in found] == []
