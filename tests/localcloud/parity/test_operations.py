"""What the local cloud cannot do is an error of AWS's form, in the protocol of its service.

Sources: "Common errors" of each API reference; EC2 API reference, "Error codes"; Amazon S3 API reference,
"Error responses".
"""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.localcloud.conftest import LocalCloud, code_of

LACKING = [
    ("cloudformation", "detect_stack_set_drift", {"StackSetName": "s"}, "InvalidAction"),
    ("cloudformation", "list_stack_set_operations", {"StackSetName": "s"}, "InvalidAction"),
    ("ec2", "describe_scheduled_instances", {}, "InvalidAction"),
    ("autoscaling", "describe_adjustment_types", {}, "InvalidAction"),
    ("elbv2", "describe_trust_stores", {}, "InvalidAction"),
    ("ssm", "list_compliance_items", {}, "UnknownOperationException"),
]


@pytest.mark.parametrize(("service", "operation", "given", "code"), LACKING)
def test_an_operation_that_is_lacking_is_named(
    local_cloud: LocalCloud, service: str, operation: str, given: dict[str, Any], code: str
) -> None:
    with pytest.raises(ClientError) as caught:
        getattr(local_cloud.client(service), operation)(**given)
    assert (_status(caught), code_of(caught)) == (400, code)
    assert "html" not in str(caught.value).lower()


def test_an_operation_of_s3_that_is_lacking_is_not_implemented(local_cloud: LocalCloud) -> None:
    s3 = local_cloud.client("s3")
    s3.create_bucket(Bucket="lacking")
    with pytest.raises(ClientError) as caught:
        s3.get_bucket_analytics_configuration(Bucket="lacking", Id="i")
    assert (_status(caught), code_of(caught)) == (501, "NotImplemented")
    assert "html" not in str(caught.value).lower()


@pytest.mark.parametrize("kind", ["analytics", "metrics", "inventory"])
def test_deleting_a_subresource_that_is_lacking_leaves_the_bucket(local_cloud: LocalCloud, kind: str) -> None:
    s3 = local_cloud.client("s3")
    s3.create_bucket(Bucket=f"lacking-{kind}")
    with pytest.raises(ClientError) as caught:
        getattr(s3, f"delete_bucket_{kind}_configuration")(Bucket=f"lacking-{kind}", Id="i")
    assert code_of(caught) == "NotImplemented"
    s3.head_bucket(Bucket=f"lacking-{kind}")


def _status(caught: pytest.ExceptionInfo[ClientError]) -> int:
    return int(caught.value.response["ResponseMetadata"]["HTTPStatusCode"])


def test_a_fault_of_the_cloud_itself_is_one_of_the_service(
    local_cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    from moto.ec2.responses.vpcs import VPCs

    def failing(handler: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(VPCs, "describe_vpcs", failing)
    client = local_cloud.client("ec2")
    with pytest.raises(ClientError) as caught:
        client.describe_vpcs()
    assert code_of(caught) == "InternalError"
