from types import SimpleNamespace

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from ingot.aws.session.stacks import stack_outputs, stack_template

NO_STACK = {"service_error_code": "ValidationError", "service_message": "Stack with id X does not exist"}
NO_REQUEST = {"service_error_code": "ValidationError", "service_message": "1 validation error detected"}


@pytest.fixture
def stub():
    cloudformation = boto3.client(
        "cloudformation", "eu-central-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    with Stubber(cloudformation) as stub:
        stub.clients = SimpleNamespace(cloudformation=cloudformation)
        yield stub


@pytest.mark.parametrize(
    ("call", "read"), [("get_template", stack_template), ("describe_stacks", stack_outputs)]
)
def test_only_a_stack_that_is_missing_reads_as_none(stub, call, read):
    stub.add_client_error(call, **NO_STACK)
    assert read(stub.clients, "X") is None
    stub.add_client_error(call, **NO_REQUEST)
    with pytest.raises(ClientError, match="1 validation error"):
        read(stub.clients, "X")


@pytest.mark.parametrize(
    ("answer", "template"), [({"TemplateBody": '{"Resources": {}}'}, {"Resources": {}}), ({}, None)]
)
def test_the_template_of_a_stack_in_review_is_none(stub, answer, template):
    stub.add_response("get_template", answer, {"StackName": "X", "TemplateStage": "Original"})
    assert stack_template(stub.clients, "X") == template
