"""Retries: what is worth another try, and when it is enough."""

from __future__ import annotations

import time

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from ingot.aws.session.retry import block_retries
from ingot.errors import PublishError
from ingot.retry import BLOCKS, StoppedError


def refused(code, status=400):
    return ClientError(
        {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutSnapshotBlock"
    )


class Request:
    """Fails with each error in turn, then answers."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.calls = 0

    def __call__(self):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


@pytest.mark.parametrize(
    "error",
    [
        refused("ThrottlingException"),
        refused("Anything", 503),
        ConnectionClosedError(endpoint_url="http://x"),
    ],
)
def test_what_may_pass_is_tried_again(error):
    request = Request(error, error)
    assert block_retries(5, pace=0).call(request, "write") == "answer"
    assert request.calls == 3


def test_a_refusal_is_not_tried_again():
    request = Request(refused("ValidationException"))
    with pytest.raises(
        PublishError, match=r"write block 7: PutSnapshotBlock was refused: ValidationException"
    ):
        block_retries(5, pace=0).call(request, "write block 7")
    assert request.calls == 1


def test_one_request_is_not_tried_without_end():
    request = Request(*[refused("ThrottlingException")] * 100)
    with pytest.raises(PublishError, match=rf"attempt {BLOCKS.attempts}"):
        block_retries(1000, pace=0).call(request, "write")
    assert request.calls == BLOCKS.attempts


def test_all_requests_share_one_budget():
    retries = block_retries(3, pace=0)
    retries.call(Request(*[refused("ThrottlingException")] * 3), "write block 1")
    with pytest.raises(PublishError, match="too many requests failed"):
        retries.call(Request(refused("ThrottlingException")), "write block 2")


def test_a_snapshot_that_is_not_known_yet_is_waited_for_only_while_it_is_new():
    missing = [refused("ResourceNotFoundException", 404)] * 30
    young = block_retries(10, pace=0)
    young.settling = time.monotonic() + 60
    assert young.call(Request(*missing), "write") == "answer"
    with pytest.raises(PublishError):
        block_retries(100, pace=0).call(Request(*missing), "write")


def test_when_one_stops_all_stop():
    retries = block_retries(5, pace=0)
    retries.stop.set()
    with pytest.raises(StoppedError):
        retries.call(Request(), "write")
