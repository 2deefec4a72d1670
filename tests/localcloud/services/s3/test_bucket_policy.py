"""Bucket policies and their conditions. Source: IAM user guide, "IAM JSON policy elements: Condition"."""

import json

import pytest

from localcloud.services.s3.bucket_policy import applies
from tests.localcloud.conftest import LocalCloud


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({}, True),
        ({"Bool": {"aws:SecureTransport": "false"}}, False),
        ({"Bool": {"aws:SecureTransport": "true"}}, True),
        ({"StringEquals": {"aws:PrincipalArn": "x"}}, False),
    ],
)
def test_a_policy_statement_applies_when_its_conditions_hold(
    condition: dict[str, dict[str, str]], expected: bool
) -> None:
    assert applies({"Effect": "Deny", "Condition": condition}) is expected


def test_a_bucket_that_enforces_tls_can_be_used(local_cloud: LocalCloud) -> None:
    s3 = local_cloud.client("s3")
    s3.create_bucket(Bucket="tls-only")
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": ["arn:aws:s3:::tls-only", "arn:aws:s3:::tls-only/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    s3.put_bucket_policy(
        Bucket="tls-only", Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    )
    s3.put_object(Bucket="tls-only", Key="k", Body=b"x")
    assert s3.get_object(Bucket="tls-only", Key="k")["Body"].read() == b"x"
