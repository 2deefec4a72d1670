"""What CloudFormation refuses when a template is submitted.

Sources, AWS CloudFormation user guide: "Template sections", "Resource attribute reference", "Intrinsic
function reference", "Understand CloudFormation quotas", "Supported AWS-specific parameter types"; API
reference: "CreateStack", "ValidateTemplate".
"""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.localcloud.conftest import LocalCloud
from tests.localcloud.services.cloudformation.support import parameter, template

TOPIC = {"Type": "AWS::SNS::Topic"}
GROUP = {"Type": "AWS::Logs::LogGroup"}


def refusal(cloud: LocalCloud, body: str, **more: Any) -> tuple[str, str]:
    """Submit a template that must be refused; nothing is left of the stack."""
    client = cloud.client("cloudformation")
    with pytest.raises(ClientError) as caught:
        client.create_stack(StackName="refused", TemplateBody=body, **more)
    with pytest.raises(ClientError, match="does not exist"):
        client.describe_stacks(StackName="refused")
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def with_parameter(**slot: Any) -> str:
    return template({"A": parameter("/p", {"Ref": "P"})}, Parameters={"P": slot})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (template({"A": TOPIC}, Resource={}), "Invalid template property or properties [Resource]"),
        (template({"my-topic": TOPIC}), "Resource name my-topic is non alphanumeric"),
        (template({"A": TOPIC | {"Propertes": {}}}), "Invalid template resource property 'Propertes'"),
        (template({"A": TOPIC | {"DeletionPolicy": "Snapshot"}}),
         "resource type AWS::SNS::Topic does not support deletion policy Snapshot"),
        (template({"A": TOPIC | {"DeletionPolicy": "Keep"}}), "DeletionPolicy"),
        (template({"A": TOPIC | {"DependsOn": "B"}}),
         "Unresolved resource dependencies [B] in the Resources block of the template"),
        (template({"A": TOPIC | {"Condition": "C"}}),
         "Unresolved condition dependency C in the Resources block of the template"),
        (template({"A": parameter("/a", {"Fn::If": ["C", 1, 2]})}), "Unresolved condition dependency C"),
        (template({"A": TOPIC}, Outputs={"O": {"Value": {"Ref": "B"}}}),
         "Unresolved resource dependencies [B] in the Outputs block of the template"),
        (template({"A": TOPIC}, Outputs={"O": {}}), "Every Outputs member must contain a Value object"),
        (template({"A": TOPIC}, Outputs={"an-output": {"Value": "x"}}), "an-output is non alphanumeric"),
        (template({"A": parameter("/a", {"Fn::GetAtt": ["T", "Nope"]}), "T": TOPIC}),
         "resource T does not support attribute type Nope in Fn::GetAtt"),
        (template({"A": parameter("/a", {"Fn::Sub": "${T.Nope}"}), "T": TOPIC}),
         "resource T does not support attribute type Nope in Fn::GetAtt"),
        (template({"A": parameter("/a", {"Fn::Nope": "x"})}), "Encountered unsupported function: Fn::Nope"),
        (template({"A": parameter("/a", {"Fn::Length": ["x"]})}), "unsupported function: Fn::Length"),
        (template({"A": parameter("/a", {"Fn::FindInMap": ["M", "a", "b"]})}),
         "Mapping named 'M' is not present in the 'Mappings' section of template"),
        (template({"A": parameter("/a", {"Fn::FindInMap": ["M", "a", "b"]})},
                  Mappings={"M": {"a": {"c": "1"}}}),
         "Unable to get mapping for M::a::b"),
        (template({"A": parameter("/a", {"Fn::FindInMap": ["M", {"Ref": "AWS::Region"}, "b"]})},
                  Mappings={"M": {"eu-west-1": {"b": "1"}}}),
         "Unable to get mapping for M::us-east-1::b"),
        (template({"A": TOPIC}, Conditions={"C": {"Fn::Equals": [{"Ref": "A"}, "x"]}}),
         "Cannot reference resources in the Conditions block of the template"),
        (template({"A": TOPIC}, Conditions={"C": {"Fn::Not": [{"Condition": "D"}]}}),
         "condition dependency D"),
        (template({"A": TOPIC}, Conditions={"C": {"Condition": "D"}, "D": {"Condition": "C"}}),
         "Circular dependency"),
        (template({"A": TOPIC}, Transform="Nobody-2020-01-01"), "No transform named Nobody-2020-01-01 found"),
        (template({"A": TOPIC}, Description="x" * 1025), "'Description' length is greater than 1024"),
        (template({f"A{number}": TOPIC for number in range(501)}),
         "Number of resources, 501, is greater than maximum allowed, 500"),
        (with_parameter(Type="Text"), "Unrecognized parameter type: Text"),
        (with_parameter(Default="x"), "Every Parameters object must contain a Type member"),
        (with_parameter(Type="String", Default="abc", MaxLength=2), "must contain at most 2 characters"),
        (with_parameter(Type="String", Default="x" * 4097), "must contain at most 4096"),
        (with_parameter(Type="Number", Default=1, MinValue=2), "must be a number not less than 2"),
        (with_parameter(Type="Number", Default=3, MaxValue=2), "must be a number not greater than 2"),
        (with_parameter(Type="Number", Default="three"), "must be a number"),
        (with_parameter(Type="AWS::EC2::VPC::Id", Default="vpc-0123456789abcdef0"),
         "parameter value vpc-0123456789abcdef0 for parameter name P does not exist"),
        (with_parameter(Type="AWS::EC2::Image::Id", Default="ami-0123456789abcdef0"), "does not exist"),
        (with_parameter(Type="AWS::EC2::KeyPair::KeyName", Default="nobodys"), "does not exist"),
        (with_parameter(Type="AWS::EC2::AvailabilityZone::Name", Default="us-east-1z"), "does not exist"),
        (with_parameter(Type="List<AWS::EC2::SecurityGroup::Id>", Default="sg-0123456789abcdef0"),
         "does not exist"),
        (with_parameter(Type="AWS::SSM::Parameter::Name", Default="/nobody"), "parameter store"),
        (template({"A": parameter("/a", "x" * 52_000)}),
         "'templateBody' failed to satisfy constraint: Member must have length less than or equal to 51200"),
    ],
)  # fmt: skip
def test_a_template_is_refused_at_submission(local_cloud: LocalCloud, body: str, message: str) -> None:
    code, said = refusal(local_cloud, body)
    assert code == "ValidationError"
    assert message in said


def test_a_template_of_its_own_size_is_taken_from_an_address(local_cloud: LocalCloud) -> None:
    """51,200 bytes in a request, 1 MB at an S3 address: "Understand CloudFormation quotas"."""
    s3, client = local_cloud.client("s3"), local_cloud.client("cloudformation")
    s3.create_bucket(Bucket="templates")
    for key, size in (("fits", 52_000), ("large", 1_000_000)):
        body = template({"A": TOPIC}, Metadata={"Text": "x" * size})
        s3.put_object(Bucket="templates", Key=key, Body=body.encode())
    url = f"{local_cloud.context.endpoint}/templates"
    assert client.validate_template(TemplateURL=f"{url}/fits")["Parameters"] == []
    with pytest.raises(ClientError, match="Template may not exceed 1000000 bytes"):
        client.validate_template(TemplateURL=f"{url}/large")


def test_parameters_that_name_what_is_there_are_taken(local_cloud: LocalCloud) -> None:
    ec2, client = local_cloud.client("ec2"), local_cloud.client("cloudformation")
    [vpc, *_] = ec2.describe_vpcs()["Vpcs"]
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]][:2]
    kinds = {"V": ("AWS::EC2::VPC::Id", vpc["VpcId"]), "S": ("List<AWS::EC2::Subnet::Id>", ",".join(subnets))}
    body = template({"A": TOPIC}, Parameters={name: {"Type": kind} for name, (kind, _) in kinds.items()})
    given = [{"ParameterKey": name, "ParameterValue": value} for name, (_, value) in kinds.items()]
    client.create_stack(StackName="named", TemplateBody=body, Parameters=given)
    client.get_waiter("stack_create_complete").wait(StackName="named", WaiterConfig={"Delay": 1})
    [stack] = client.describe_stacks(StackName="named")["Stacks"]
    found = {one["ParameterKey"]: one["ParameterValue"] for one in stack["Parameters"]}
    assert found == {name: value for name, (_, value) in kinds.items()}


def test_language_extensions_need_their_transform_and_capability(local_cloud: LocalCloud) -> None:
    """ "AWS::LanguageExtensions transform"; CreateStack, "Capabilities": CAPABILITY_AUTO_EXPAND."""
    value = {"Fn::ToJsonString": {"a": 1}}
    body = template({"A": parameter("/extended", value)}, Transform="AWS::LanguageExtensions")
    assert refusal(local_cloud, body) == (
        "InsufficientCapabilitiesException",
        "Requires capabilities : [CAPABILITY_AUTO_EXPAND]",
    )
    client = local_cloud.client("cloudformation")
    client.create_stack(StackName="ext", TemplateBody=body, Capabilities=["CAPABILITY_AUTO_EXPAND"])
    client.get_waiter("stack_create_complete").wait(StackName="ext", WaiterConfig={"Delay": 1})
    stored = local_cloud.client("ssm").get_parameter(Name="/extended")["Parameter"]["Value"]
    assert json.loads(stored) == {"a": 1}


def test_on_failure_excludes_disable_rollback(local_cloud: LocalCloud) -> None:
    """CreateStack: "You can specify either OnFailure or DisableRollback, but not both"."""
    body = template({"A": TOPIC})
    code, said = refusal(local_cloud, body, OnFailure="DELETE", DisableRollback=True)
    assert (code, "but not both" in said) == ("ValidationError", True)


def test_a_standard_parameter_holds_4_kib(local_cloud: LocalCloud) -> None:
    """Systems Manager user guide, "Managing parameter tiers"."""
    ssm = local_cloud.client("ssm")
    with pytest.raises(ClientError, match="maximum parameter value of 4096 characters"):
        ssm.put_parameter(Name="/long", Type="String", Value="x" * 4097)
    ssm.put_parameter(Name="/long", Type="String", Value="x" * 4097, Tier="Advanced")
    with pytest.raises(ClientError, match="8192"):
        ssm.put_parameter(Name="/longer", Type="String", Value="x" * 8193, Tier="Advanced")
