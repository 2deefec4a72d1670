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
    ("s3", "get_bucket_analytics_configuration", {"Bucket": "b", "Id": "i"}, None),
]


@pytest.mark.parametrize(("service", "operation", "given", "code"), LACKING)
def test_an_operation_that_is_lacking_is_named(
    local_cloud: LocalCloud, service: str, operation: str, given: dict[str, Any], code: str | None
) -> None:
    with pytest.raises(ClientError) as caught:
        getattr(local_cloud.client(service), operation)(**given)
    status = caught.value.response["ResponseMetadata"]["HTTPStatusCode"]
    assert 400 <= status < 500 or status == 501
    assert code in (None, code_of(caught))
    assert "html" not in str(caught.value).lower()


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
