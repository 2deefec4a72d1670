import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_logs as logs
from aws_cdk.assertions import Match, Template

from ingot.constructs import Builder


@pytest.fixture
def template(stack):
    Builder(stack, "Builder")
    return Template.from_stack(stack)


def test_required(template):
    for kind, count in {
        "AWS::EC2::VPC": 1,
        "AWS::EC2::Subnet": 2,
        "AWS::EC2::NatGateway": 0,
        "AWS::EC2::LaunchTemplate": 2,
        "AWS::IAM::Role": 1,
        "AWS::S3::Bucket": 1,
        "AWS::Logs::LogGroup": 1,
        "AWS::Lambda::Function": 0,
    }.items():
        template.resource_count_is(kind, count)


def test_machines_require_imdsv2_encrypt_and_leave_nothing(template):
    templates = template.find_resources("AWS::EC2::LaunchTemplate")
    assert len(templates) == 2
    for resource in templates.values():
        data = resource["Properties"]["LaunchTemplateData"]
        assert data["MetadataOptions"] == {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}
        assert data["InstanceInitiatedShutdownBehavior"] == "terminate"
        assert "KeyName" not in data
        assert "ImageId" not in data
        [disk] = data["BlockDeviceMappings"]
        assert disk["DeviceName"] == "/dev/xvda"
        assert (
            disk["Ebs"].items()
            >= {"Encrypted": True, "DeleteOnTermination": True, "VolumeType": "gp3"}.items()
        )


def test_nothing_comes_in(template):
    [group] = template.find_resources("AWS::EC2::SecurityGroup").values()
    assert "SecurityGroupIngress" not in group["Properties"]
    template.resource_count_is("AWS::EC2::SecurityGroupIngress", 0)


def test_a_test_clone_has_no_role(template):
    roles = [
        "IamInstanceProfile" in resource["Properties"]["LaunchTemplateData"]
        for name, resource in template.find_resources("AWS::EC2::LaunchTemplate").items()
    ]
    assert sorted(roles) == [False, True]


def test_the_role_has_no_wildcard_but_what_a_tag_narrows(template):
    [policy] = template.find_resources("AWS::IAM::Policy").values()
    for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        assert not [action for action in actions if "*" in action], statement["Sid"]
        assert statement["Resource"] != "*"
        if any(action.startswith(("ec2:", "ebs:")) for action in actions):
            assert "Condition" in statement, statement["Sid"]


def test_the_role_makes_nothing(template):
    [policy] = template.find_resources("AWS::IAM::Policy").values()
    allowed = {
        action
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        for action in (
            statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        )
    }
    assert allowed == {
        "s3:GetObject",
        "s3:PutObject",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "ebs:PutSnapshotBlock",
    }


def test_bundles_are_private_encrypted_and_short_lived_and_packages_stay(template):
    template.has_resource_properties(
        "AWS::S3::Bucket",
        {
            "BucketEncryption": Match.any_value(),
            "PublicAccessBlockConfiguration": dict.fromkeys(
                ["BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"], True
            ),
            "LifecycleConfiguration": {
                "Rules": [
                    {"ExpirationInDays": 7, "Prefix": "bundles/", "Status": "Enabled"},
                    {"ExpirationInDays": 7, "Prefix": "results/", "Status": "Enabled"},
                    {
                        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
                        "Status": "Enabled",
                    },
                ]
            },
        },
    )
    template.has_resource_properties(
        "AWS::S3::BucketPolicy",
        {
            "PolicyDocument": Match.object_like(
                {
                    "Statement": Match.array_with(
                        [
                            Match.object_like(
                                {"Effect": "Deny", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
                            )
                        ]
                    )
                }
            )
        },
    )


def test_all(stack):
    vpc = ec2.Vpc(stack, "Given", max_azs=2, nat_gateways=0)
    Builder(
        stack,
        "Builder",
        vpc=vpc,
        instance_type="m7i.large",
        test_instance_type="t3.micro",
        log_retention=logs.RetentionDays.ONE_WEEK,
        bundle_days=1,
    )
    template = Template.from_stack(stack)
    template.resource_count_is("AWS::EC2::VPC", 1)
    template.has_resource_properties("AWS::Logs::LogGroup", {"RetentionInDays": 7})
    kinds = {
        resource["Properties"]["LaunchTemplateData"]["InstanceType"]
        for resource in template.find_resources("AWS::EC2::LaunchTemplate").values()
    }
    assert kinds == {"m7i.large", "t3.micro"}
