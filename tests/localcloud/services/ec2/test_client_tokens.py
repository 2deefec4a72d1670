"""A ClientToken launches once. Source: EC2 API reference, "Ensuring idempotency"."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.localcloud.conftest import code_of, launch


def test_the_same_token_launches_once(client: Any, image_id: str) -> None:
    first = launch(client, image_id, "once")
    assert launch(client, image_id, "once") == first
    assert launch(client, image_id, "twice") != first


def test_the_same_token_with_other_parameters_is_refused(client: Any, image_id: str) -> None:
    launch(client, image_id, "changed")
    with pytest.raises(ClientError) as caught:
        launch(client, image_id, "changed", InstanceType="t3.large")
    assert code_of(caught) == "IdempotentParameterMismatch"


def test_a_terminated_instance_can_be_terminated_again(client: Any, image_id: str) -> None:
    instances = [launch(client, image_id, "ended twice")]
    for _ in range(2):
        [change] = client("ec2").terminate_instances(InstanceIds=instances)["TerminatingInstances"]
        assert change["CurrentState"]["Name"] in ("shutting-down", "terminated")


def test_the_token_of_a_terminated_instance_is_refused(client: Any, image_id: str) -> None:
    client("ec2").terminate_instances(InstanceIds=[launch(client, image_id, "gone")])
    with pytest.raises(ClientError) as caught:
        launch(client, image_id, "gone")
    assert code_of(caught) == "IdempotentInstanceTerminated"


def test_a_token_of_65_characters_is_refused(client: Any, image_id: str) -> None:
    with pytest.raises(ClientError) as caught:
        launch(client, image_id, "x" * 65)
    assert code_of(caught) == "InvalidParameterValue"
