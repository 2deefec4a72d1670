import re

import pytest
from aws_cdk import App
from aws_cdk.assertions import Template

from ingot.errors import InputError
from stacks.builder_stack import BuilderStack
from stacks.settings.config import Config


def read(environment=None, **context):
    return Config.read(context, environment=environment or {})


def test_defaults():
    config = read()
    assert (config.recipe, config.builder, config.min_clones, config.max_clones) == ("web", "auto", 2, 4)
    assert config.vpc_cidr == "172.20.0.0/16"
    assert config.account is None


def test_account_and_region_are_the_callers():
    config = read({"CDK_DEFAULT_ACCOUNT": "111122223333", "CDK_DEFAULT_REGION": "eu-central-1"})
    assert (config.account, config.region) == ("111122223333", "eu-central-1")


def test_context_goes_before_the_environment():
    assert read({"CDK_DEFAULT_REGION": "eu-central-1"}, region="us-west-2").region == "us-west-2"


def test_text_of_the_command_line_and_json_of_cdk_json_mean_the_same():
    text = read(min_clones="1", max_clones="3", egress="true", internet_facing="false")
    assert text == read(min_clones=1, max_clones=3.0, egress=True, internet_facing=False)


def test_none_takes_a_setting_back():
    config = read(cpu_target="none", more_instance_types="none")
    assert (config.cpu_target, config.more_instance_types) == (None, ())


def test_lists_on_the_command_line_have_commas():
    assert read(refresh_checkpoints="10, 50") == read(refresh_checkpoints=[10, 50])


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("min_clones", "none", "a whole number from 0 to 1000"),
        ("more_instance_types", 3, "a list, or on the command line words with commas between them"),
        ("refresh_checkpoints", [50, 10], "percentages in ascending order"),
        ("alarm_latency_seconds", "soon", "a number of seconds from 0.01 to 3600"),
        ("volume_initialization_rate", 50, "a whole number from 100 to 300"),
        ("zones", 1, "a whole number from 2 to 6"),
        ("certificate_arn", "arn:aws:iam::1:x", "the ARN of a certificate of ACM"),
        ("domain_name", "localhost", "a host name such as www.example.com"),
        ("alarm_topics", "on-call", "the ARN of an SNS topic"),
        ("vpc_id", "default", "a VPC's id such as vpc-0a1b2c3d"),
        ("vpc_zones", "a,b", "an availability zone such as eu-central-1a"),
        ("clone_subnets", "private", "a subnet's id such as subnet-0a1b2c3d"),
        ("recipe", "Web", "a recipe's name"),
        ("builder", "docker", "auto, host or instance"),
        ("builder_image", "debian", "an AMI id, or the full name of an SSM parameter"),
        ("instance_type", "small", "an EC2 instance type such as t3.small"),
        ("min_clones", "two", "a whole number from 0 to 1000"),
        ("min_clones", "-1", "a whole number from 0 to 1000"),
        ("min_clones", True, "a whole number from 0 to 1000"),
        ("max_clones", 0, "a whole number from 1 to 1000"),
        ("health_path", "healthz", "a path that begins with /"),
        ("health_grace_seconds", "7201", "a whole number from 0 to 7200"),
        ("refresh_max_healthy_percentage", "250", "a whole number from 100 to 200"),
        ("internet_facing", "yes", "true or false"),
        ("vpc_cidr", "172.20.0.1/16", "an IPv4 network from /16 to /24"),
        ("vpc_cidr", "10.0.0.0/8", "an IPv4 network from /16 to /24"),
        ("builder_vpc_cidr", 7, "an IPv4 network from /16 to /24"),
        ("account", "123", "an AWS account id of 12 digits"),
        ("region", "Frankfurt", "an AWS region such as eu-central-1"),
    ],
)
def test_errors_name_key_found_and_expected(key, value, expected):
    with pytest.raises(InputError) as caught:
        read(**{key: value})
    assert re.search(rf"context key {key} must be {re.escape(expected)}.*, not ", str(caught.value))
    if key not in ("vpc_zones", "min_clones"):
        assert repr(value) in str(caught.value)


def test_all_problems_are_told_at_once():
    with pytest.raises(InputError) as caught:
        read(builder="docker", egress="perhaps")
    assert "builder" in str(caught.value)
    assert "egress" in str(caught.value)


def test_bounds_that_contradict_each_other():
    with pytest.raises(InputError, match="min_clones 5, desired_clones 5 and max_clones 4 must not descend"):
        read(min_clones=5)


VPC = {
    "vpc_id": "vpc-0a1b2c3d",
    "vpc_zones": "us-east-1a,us-east-1b",
    "clone_subnets": "subnet-0000000a,subnet-0000000b",
}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"domain_name": "www.example.com"}, "domain_name www.example.com needs certificate_arn"),
        ({"warm_pool": 1, "spot_percentage": 50}, "warm_pool and spot_percentage exclude each other"),
        ({"public_subnets": "subnet-0000000a"}, "vpc_zones, public_subnets, clone_subnets need vpc_id"),
        (
            VPC,
            "as many public_subnets and clone_subnets; there are 2 zones, 0 public subnets",
        ),
        (
            {**VPC, "public_subnets": "subnet-0000000c,subnet-0000000d", "internet_facing": False},
            "as many clone_subnets, and no public_subnets; there are 2 zones, 2 public subnets",
        ),
    ],
)
def test_settings_that_do_not_go_together(given, message):
    with pytest.raises(InputError, match=message):
        read(**given)


def test_a_given_vpc_without_public_subnets_serves_inside():
    assert read(**VPC, internet_facing=False).vpc_id == "vpc-0a1b2c3d"


@pytest.mark.parametrize(
    ("key", "suggestion"),
    [
        ("min_clone", "; did you mean min_clones or "),
        ("environment", "; did you mean env?"),
        ("git_hub", "; did you mean github"),
        ("bogus", ""),
        ("url_port", "; did you mean port"),
    ],
)
def test_a_key_that_there_is_none_of_is_a_mistake(key, suggestion):
    with pytest.raises(InputError) as caught:
        Config.read({key: "1"}, environment={})
    line, hint = str(caught.value).splitlines()
    assert line.startswith(f"context key {key}: there is none of this name{suggestion}")
    assert "docs/environments.md lists the keys" in hint
    if not suggestion:
        assert line.endswith("of this name")


def test_keys_of_the_cdk_and_of_other_tools_are_not_ours():
    others = {"@aws-cdk/core:checkSecretUsage": True, "availability-zones:account=1": [], "team:name": "blue"}
    assert read(**others, github="acme/site", github_branch="main") == read()


def test_what_the_caller_is_said_to_be_is_checked():
    with pytest.raises(InputError, match=r"the caller's region must be an AWS region .*, not 'mars'"):
        read({"CDK_DEFAULT_REGION": "mars"})


@pytest.mark.parametrize(
    ("architecture", "machine", "clone", "image"),
    [("x86_64", "c7i.large", "t3.small", "amd64"), ("arm64", "c7g.large", "t4g.small", "arm64")],
)
def test_builder_and_test_clone_are_of_the_recipes_architecture(project, architecture, machine, clone, image):
    builder = BuilderStack(App(), "IngotBuilder", config=read(), architecture=architecture)
    template = Template.from_stack(builder)
    templates = template.find_resources("AWS::EC2::LaunchTemplate").values()
    types = {one["Properties"]["LaunchTemplateData"]["InstanceType"] for one in templates}
    assert types == {machine, clone}
    template.has_output("BuilderImage", {"Value": f"/aws/service/debian/release/12/latest/{image}"})


def test_a_builder_of_another_architecture_is_refused(project):
    with pytest.raises(InputError, match=r"builder_instance_type: c7i\.large is an x86_64 machine"):
        BuilderStack(
            App(), "IngotBuilder", config=read(builder_instance_type="c7i.large"), architecture="arm64"
        )
