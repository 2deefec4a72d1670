"""What machines may read with their role's credentials is judged whether the cloud enforces permissions or
not.
"""

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.localcloud.conftest import LocalCloud, code_of

Client = Callable[[str], Any]
INSTANCES = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}
TRUST = json.dumps({"Version": "2012-10-17", "Statement": [INSTANCES]})


@pytest.fixture(scope="module")
def values(local_cloud: LocalCloud) -> list[str]:
    """Parameters and secrets, of which the role `clone` may read one each; the secrets' ARNs."""
    iam, ssm = local_cloud.client("iam"), local_cloud.client("ssm")
    iam.create_role(RoleName="clone", AssumeRolePolicyDocument=TRUST)
    for name in ("/app/level", "/other/level"):
        ssm.put_parameter(Name=name, Value="info", Type="String")
    secrets = local_cloud.client("secretsmanager")
    arns = [str(secrets.create_secret(Name=name, SecretString="s3cret")["ARN"]) for name in ("app", "other")]
    statements = [
        {"Effect": "Allow", "Action": "ssm:GetParameters", "Resource": "arn:aws:ssm:*:*:parameter/app/level"},
        {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": arns[0]},
    ]
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_role_policy(RoleName="clone", PolicyName="reads", PolicyDocument=document)
    return arns


def clients_of(local_cloud: LocalCloud, session: str) -> Client:
    """Return clients with credentials of the role, as its session of that name has them."""
    role = f"arn:aws:iam::{local_cloud.context.account}:role/clone"
    keys = local_cloud.client("sts").assume_role(RoleArn=role, RoleSessionName=session)["Credentials"]

    def client(service: str) -> Any:
        return boto3.client(  # type: ignore[call-overload]
            service,
            region_name="us-east-1",
            endpoint_url=local_cloud.context.endpoint,
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys["SessionToken"],
        )

    return client


def test_a_machine_reads_what_its_role_may_read(local_cloud: LocalCloud, values: list[str]) -> None:
    machine = clients_of(local_cloud, "i-0123456789abcdef0")
    assert machine("ssm").get_parameters(Names=["/app/level"])["Parameters"][0]["Value"] == "info"
    for identifier in ("app", values[0]):
        assert machine("secretsmanager").get_secret_value(SecretId=identifier)["SecretString"] == "s3cret"


def test_everything_else_is_refused_by_name(local_cloud: LocalCloud, values: list[str]) -> None:
    machine = clients_of(local_cloud, "i-0123456789abcdef0")
    ssm, secrets = machine("ssm"), machine("secretsmanager")
    for call, resource in (
        (lambda: ssm.get_parameters(Names=["/app/level", "/other/level"]), "parameter/other/level"),
        (lambda: ssm.get_parameter(Name="/app/level"), "ssm:GetParameter on resource"),
        (lambda: secrets.get_secret_value(SecretId="other"), values[1]),
        (lambda: secrets.get_secret_value(SecretId="none"), "secret:none-??????"),
    ):
        with pytest.raises(ClientError) as caught:
            call()
        assert code_of(caught) == "AccessDeniedException"
        assert resource in str(caught.value)
        assert "assumed-role/clone/i-0123456789abcdef0 is not authorized to perform" in str(caught.value)


def test_people_who_try_the_cloud_need_no_permissions(local_cloud: LocalCloud, values: list[str]) -> None:
    person = clients_of(local_cloud, "somebody")
    assert person("secretsmanager").get_secret_value(SecretId="other")["SecretString"] == "s3cret"
