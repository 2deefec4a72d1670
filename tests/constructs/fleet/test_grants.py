"""A fleet is what the CDK's constructs grant to and connect with."""

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_rds as rds
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk.assertions import Template

from ingot.constructs import CloneFleet
from ingot.errors import InputError
from tests.constructs.fleet.test_clone_fleet import one


def ec2_role(stack: Stack, service: str = "ec2.amazonaws.com") -> iam.Role:
    return iam.Role(stack, "Given", assumed_by=iam.ServicePrincipal(service))


def test_a_secret_is_granted_to_the_clones_role(stack, image):
    fleet = CloneFleet(stack, "Fleet", image=image)
    secretsmanager.Secret(stack, "Secret").grant_read(fleet)
    template = Template.from_stack(stack)
    [(role, resource)] = template.find_resources("AWS::IAM::Role").items()
    [(profile, has)] = template.find_resources("AWS::IAM::InstanceProfile").items()
    [(policy, grants)] = template.find_resources("AWS::IAM::Policy").items()
    [statement] = grants["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Action"] == ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"]
    assert grants["Properties"]["Roles"] == has["Properties"]["Roles"] == [{"Ref": role}]
    data = one(template, "AWS::EC2::LaunchTemplate")["Properties"]["LaunchTemplateData"]
    assert data["IamInstanceProfile"] == {"Arn": {"Fn::GetAtt": [profile, "Arn"]}}
    assert {"Key": "ingot:recipe", "Value": "web"} in resource["Properties"]["Tags"]
    # A clone that starts before its role has the permission would not find its secret.
    assert {role, policy} <= set(one(template, "AWS::EC2::LaunchTemplate")["DependsOn"])


def test_a_fleet_that_is_granted_nothing_has_no_role_in_its_template(stack, image):
    CloneFleet(stack, "Fleet", image=image)
    template = Template.from_stack(stack)
    template.resource_count_is("AWS::IAM::Role", 0)
    template.resource_count_is("AWS::IAM::InstanceProfile", 0)


def test_the_role_is_there_when_it_is_asked_for_and_only_one(stack, image):
    fleet = CloneFleet(stack, "Fleet", image=image)
    assert fleet.role is fleet.role
    Template.from_stack(stack).resource_count_is("AWS::IAM::Role", 1)


def test_a_database_lets_the_clones_in_and_the_clones_out_to_it(stack, image):
    fleet = CloneFleet(stack, "Fleet", image=image)
    database = rds.DatabaseInstance(
        stack,
        "Database",
        vpc=fleet.vpc,
        vpc_subnets=fleet.clone_subnets,
        engine=rds.DatabaseInstanceEngine.POSTGRES,
    )
    database.connections.allow_default_port_from(fleet)
    template = Template.from_stack(stack)
    clones = stack.resolve(fleet.clones.security_group_id)
    group = stack.resolve(database.connections.security_groups[0].security_group_id)
    ingress = [r["Properties"] for r in template.find_resources("AWS::EC2::SecurityGroupIngress").values()]
    assert [rule["SourceSecurityGroupId"] for rule in ingress if rule["GroupId"] == group] == [clones]
    egress = [r["Properties"] for r in template.find_resources("AWS::EC2::SecurityGroupEgress").values()]
    assert [rule["DestinationSecurityGroupId"] for rule in egress if rule["GroupId"] == clones] == [group]


def test_the_default_port_is_the_one_that_clones_serve_on(stack, image):
    fleet = CloneFleet(stack, "Fleet", image=image)
    fleet.connections.allow_default_port_from(ec2.Peer.ipv4("10.0.0.0/8"))
    groups = Template.from_stack(stack).find_resources("AWS::EC2::SecurityGroup").values()
    rules = [rule for group in groups for rule in group["Properties"].get("SecurityGroupIngress", [])]
    assert [(r["FromPort"], r["ToPort"]) for r in rules if r["CidrIp"] == "10.0.0.0/8"] == [(80, 80)]


def test_a_role_that_is_given_is_taken_and_granted_to(stack, image):
    role = ec2_role(stack)
    fleet = CloneFleet(stack, "Fleet", image=image, role=role, session_manager=True)
    assert fleet.role is role
    template = Template.from_stack(stack)
    template.resource_count_is("AWS::IAM::Role", 1)
    statements = one(template, "AWS::IAM::Policy")["Properties"]["PolicyDocument"]["Statement"]
    assert [statement["Sid"] for statement in statements] == ["Sessions", "Register"]
    profile = one(template, "AWS::IAM::InstanceProfile")["Properties"]
    assert profile["Roles"] == [stack.resolve(role.role_name)]


def test_a_role_of_another_stack_or_of_the_account_is_taken(project, image, stack):
    imported = iam.Role.from_role_name(stack, "Imported", "web-clones")
    fleet = CloneFleet(stack, "Fleet", image=image, role=imported)
    fleet.grant_principal.add_to_principal_policy(
        iam.PolicyStatement(
            actions=["sqs:SendMessage"], resources=["arn:aws:sqs:eu-west-1:111122223333:jobs"]
        )
    )
    template = Template.from_stack(stack)
    assert one(template, "AWS::IAM::InstanceProfile")["Properties"]["Roles"] == ["web-clones"]
    assert one(template, "AWS::IAM::Policy")["Properties"]["Roles"] == ["web-clones"]


def test_a_role_that_ec2_cannot_assume_is_refused(stack, image):
    with pytest.raises(InputError, match=r"Test/Fleet: EC2 cannot assume the role Test/Given") as caught:
        CloneFleet(stack, "Fleet", image=image, role=ec2_role(stack, "lambda.amazonaws.com"))
    assert 'iam.ServicePrincipal("ec2.amazonaws.com")' in str(caught.value)


def test_security_groups_that_are_given_take_the_place_of_its_own(stack, image):
    vpc = ec2.Vpc(stack, "Vpc", max_azs=2)
    groups = [ec2.SecurityGroup(stack, name, vpc=vpc, allow_all_outbound=False) for name in ("One", "Two")]
    fleet = CloneFleet(stack, "Fleet", image=image, vpc=vpc, security_groups=groups)
    template = Template.from_stack(stack)
    data = one(template, "AWS::EC2::LaunchTemplate")["Properties"]["LaunchTemplateData"]
    ids = [stack.resolve(group.security_group_id) for group in groups]
    assert data["SecurityGroupIds"] == ids
    rules = template.find_resources("AWS::EC2::SecurityGroupIngress").values()
    assert sorted(str(rule["Properties"]["GroupId"]) for rule in rules) == sorted(map(str, ids))
    assert len(template.find_resources("AWS::EC2::SecurityGroup")) == 3
    assert len(fleet.connections.security_groups) == 2


@pytest.mark.parametrize("number", [0, 6])
def test_so_many_security_groups_cannot_be(stack, image, number):
    groups = [ec2.SecurityGroup.from_security_group_id(stack, f"G{i}", f"sg-{i}") for i in range(number)]
    with pytest.raises(InputError, match=f"Test/Fleet: security_groups must be 1 to 5 groups, not {number}"):
        CloneFleet(stack, "Fleet", image=image, security_groups=groups)


def test_constructs_of_other_stacks_grant_to_a_fleet(project):
    from ingot.constructs import GoldenImage

    app = App(analytics_reporting=False)
    data, stack = Stack(app, "Data"), Stack(app, "Test")
    secret = secretsmanager.Secret(data, "Secret")
    fleet = CloneFleet(stack, "Fleet", image=GoldenImage(stack, "Image", recipe="web"))
    secret.grant_read(fleet)
    statement = one(Template.from_stack(stack), "AWS::IAM::Policy")["Properties"]["PolicyDocument"][
        "Statement"
    ]
    assert "Fn::ImportValue" in str(statement[0]["Resource"])
