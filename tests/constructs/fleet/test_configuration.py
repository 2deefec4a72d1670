"""What clones are told at boot: user data, permissions, endpoints; and what contradicts the recipe."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import Aspects, Fn, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_ssm as ssm
from aws_cdk.assertions import Annotations, Match, Template
from cdk_nag import AwsSolutionsChecks

from ingot.constructs import CloneFleet, GoldenImage, SecretKey
from ingot.errors import InputError
from tests.constructs.fleet.test_clone_fleet import one
from tests.constructs.recipes import write_recipe

REST = "base: {debian: bookworm}\nroot_volume: {size: 2GiB}\n"
VALUES = {"environment": {"LEVEL": "info"}, "parameters": {"HOST": "/app/host"}}


@pytest.fixture
def image(project: Path, stack: Stack) -> GoldenImage:
    """An image whose recipe declares two variables and a secret."""
    declared = "configuration:\n  environment: {LEVEL: debug, HOST: localhost}\n  secrets: {password: {}}\n"
    write_recipe(project, "app", configured=f"name: app\n{REST}{declared}")
    return GoldenImage(stack, "Image", recipe="app")


@pytest.fixture
def secret(stack: Stack) -> secretsmanager.Secret:
    return secretsmanager.Secret(stack, "Password")


def user_data(template: Template) -> list[str]:
    """Return the lines of user data, with references as text."""
    data = one(template, "AWS::EC2::LaunchTemplate")["Properties"]["LaunchTemplateData"]
    text = data["UserData"]["Fn::Base64"]
    parts = text["Fn::Join"][1] if isinstance(text, dict) else [text]
    return "".join(part if isinstance(part, str) else f"<{json.dumps(part)}>" for part in parts).splitlines()


def statements(template: Template) -> dict[str, Any]:
    found = one(template, "AWS::IAM::Policy")["Properties"]["PolicyDocument"]["Statement"]
    return {statement["Action"]: statement["Resource"] for statement in found}


def test_user_data_says_where_each_value_is(stack, image, secret):
    CloneFleet(stack, "Fleet", image=image, **VALUES, secrets={"password": secret})
    reference = json.dumps({"Ref": stack.get_logical_id(secret.node.default_child)})
    assert user_data(Template.from_stack(stack)) == [
        "#cloud-config",
        "{}",
        f"# ingot: secret password secret <{reference}>",
        "# ingot: variable HOST parameter /app/host",
        f"# ingot: variable LEVEL value {base64.b64encode(b'info').decode()}",
    ]


def test_the_role_may_read_exactly_these(stack, image, secret):
    CloneFleet(stack, "Fleet", image=image, **VALUES, secrets={"password": secret})
    found = statements(Template.from_stack(stack))
    assert set(found) == {"ssm:GetParameters", "secretsmanager:GetSecretValue"}
    assert found["secretsmanager:GetSecretValue"] == stack.resolve(secret.secret_arn)
    assert found["ssm:GetParameters"]["Fn::Join"][1][-1] == ":parameter/app/host"


def test_constructs_of_parameters_and_keys_of_secrets_are_taken(stack, image):
    host = ssm.StringParameter(stack, "Host", string_value="db", parameter_name="/app/host")
    secret = secretsmanager.Secret.from_secret_name_v2(stack, "Password", "app/database")
    CloneFleet(
        stack, "Fleet", image=image, environment=VALUES["environment"], parameters={"HOST": host},
        secrets={"password": SecretKey(secret, "password")},
    )  # fmt: skip
    template = Template.from_stack(stack)
    lines = user_data(template)
    assert lines[2].endswith(f":secret:app/database {base64.b64encode(b'password').decode()}")
    assert lines[3].startswith('# ingot: variable HOST parameter <{"Ref": "Host')
    found = statements(template)
    assert found["secretsmanager:GetSecretValue"]["Fn::Join"][1][-1] == ":secret:app/database-??????"


def test_what_a_deployment_alone_knows_is_encoded_by_it(stack, image, secret):
    environment = {"LEVEL": Fn.import_value("level")}
    CloneFleet(
        stack, "Fleet", image=image, environment=environment, parameters=VALUES["parameters"],
        secrets={"password": secret},
    )  # fmt: skip
    encoded = json.dumps({"Fn::Base64": {"Fn::ImportValue": "level"}})
    assert user_data(Template.from_stack(stack))[-1] == f"# ingot: variable LEVEL value <{encoded}>"


def test_a_secret_with_a_key_of_its_own_is_decrypted_by_secrets_manager_alone(stack, image):
    key = kms.Key(stack, "Key")
    secret = secretsmanager.Secret(stack, "Password", encryption_key=key)
    CloneFleet(stack, "Fleet", image=image, **VALUES, secrets={"password": secret})
    policy = one(Template.from_stack(stack), "AWS::KMS::Key")["Properties"]["KeyPolicy"]["Statement"]
    [decrypt] = [statement for statement in policy if statement["Action"] == "kms:Decrypt"]
    [(key_of_condition, service)] = decrypt["Condition"]["StringEquals"].items()
    assert (key_of_condition, service["Fn::Join"][1][0]) == ("kms:ViaService", "secretsmanager.")
    assert "FleetRole" in str(decrypt["Principal"])


@pytest.mark.parametrize(
    ("egress", "session_manager", "endpoints"),
    [
        (False, False, {"ssm", "secretsmanager"}),
        (True, False, set()),
        (False, True, {"ssm", "ssmmessages", "secretsmanager"}),
    ],
)
def test_clones_without_a_way_out_reach_values_by_endpoints(
    stack, image, secret, egress, session_manager, endpoints
):
    options = {"egress": egress, "session_manager": session_manager}
    CloneFleet(stack, "Fleet", image=image, **VALUES, secrets={"password": secret}, **options)
    found = Template.from_stack(stack).find_resources("AWS::EC2::VPCEndpoint").values()
    names = {
        endpoint["Properties"]["ServiceName"]["Fn::Join"][1][-1].rpartition(".")[2] for endpoint in found
    }
    assert names == endpoints


def test_only_the_endpoints_that_are_needed_are_made(stack, project):
    declared = "configuration: {environment: {LEVEL: debug}}\n"
    write_recipe(project, "small", configured=f"name: small\n{REST}{declared}")
    image = GoldenImage(stack, "Small", recipe="small")
    CloneFleet(stack, "Fleet", image=image, environment={"LEVEL": "info"})
    template = Template.from_stack(stack)
    template.resource_count_is("AWS::EC2::VPCEndpoint", 0)
    template.resource_count_is("AWS::IAM::Role", 0)


def test_user_data_of_the_app_comes_first_and_whole(stack, image, secret):
    own = ec2.UserData.custom("#cloud-config\nruncmd: [touch /tmp/mine]")
    CloneFleet(stack, "Fleet", image=image, **VALUES, secrets={"password": secret}, user_data=own)
    lines = user_data(Template.from_stack(stack))
    assert lines[:2] == ["#cloud-config", "runcmd: [touch /tmp/mine]"]
    assert len(lines) == 5
    assert all(line.startswith("# ingot: ") for line in lines[2:])


def test_user_data_is_possible_without_configuration(project, stack):
    image = GoldenImage(stack, "Image", recipe="web")
    CloneFleet(stack, "Fleet", image=image, user_data=ec2.UserData.custom("#!/bin/sh\ntrue\n"))
    assert user_data(Template.from_stack(stack)) == ["#!/bin/sh", "true"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"environment": {"LEVEL": "x"}},
            r"no value of the variable HOST, which the recipe app declares; no value of the secret",
        ),
        ({**VALUES, "secrets": {"passwd": 0}}, "the secret passwd, which the recipe app does not declare"),
        (
            {**VALUES, "parameters": {"HOST": "/h", "LEVEL": "/l"}},
            "LEVEL is in environment and in",
        ),
    ],
)
def test_names_are_those_that_the_recipe_declares(stack, image, secret, given, message):
    if "secrets" in given:
        given = {**given, "secrets": dict.fromkeys(given["secrets"], secret)}
    with pytest.raises(InputError, match=f"Test/Fleet: .*{message}"):
        CloneFleet(stack, "Fleet", image=image, **given)


def test_more_user_data_than_ec2_takes_is_refused(stack, image, secret):
    values = {**VALUES, "environment": {"LEVEL": "x" * 13000}, "secrets": {"password": secret}}
    with pytest.raises(InputError, match=r"Test/Fleet: 17.* bytes of user data; EC2 takes 16384"):
        CloneFleet(stack, "Fleet", image=image, **values)


def test_cdk_nag_finds_nothing_that_no_reason_answers(stack, image):
    secret = secretsmanager.Secret.from_secret_name_v2(stack, "Password", "app/password")
    fleet = CloneFleet(stack, "Fleet", image=image, **VALUES, secrets={"password": secret})
    Aspects.of(fleet).add(AwsSolutionsChecks(verbose=True))
    found = Annotations.from_stack(stack).find_error("*", Match.string_like_regexp("AwsSolutions-.*"))
    assert [entry.entry.data for entry in found] == []
