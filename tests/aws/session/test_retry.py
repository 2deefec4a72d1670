"""Retries: what is worth another try, and when it is enough."""

from __future__ import annotations

import re

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ResponseStreamingError, SSLError
from botocore.parsers import ResponseParserError

from ingot import retry
from ingot.aws.session.retry import block_retries, retries_until
from ingot.aws.session.waiting import wait_until
from ingot.bake.instance import bootstrap
from ingot.errors import PublishError
from ingot.retry import BLOCKS, SETTLING, TAGS_SETTLING, THROTTLED, Recent, StoppedError, Verdict, codes_of
from tests import ROOT
from tests.aws.driven_clock import StoppedClock


@pytest.fixture(autouse=True)
def clock():
    clock = StoppedClock()
    with retry.driven_by(clock):
        yield clock


def refused(code, status=400, message=""):
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}},
        "PutSnapshotBlock",
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
        refused("ThrottledException"),
        refused("BandwidthLimitExceeded"),
        refused("RequestTimeout"),
        refused("Anything", 503),
        refused("ValidationException", message="Failed to read block data"),
        ConnectionClosedError(endpoint_url="http://x"),
        ResponseStreamingError(error="IncompleteRead(3 bytes read)"),
        SSLError(endpoint_url="https://x", error="EOF occurred in violation of protocol"),
        ResponseParserError("no element found"),
    ],
    ids=str,
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
    request = Request(*[refused("InternalError", 500)] * 100)
    with pytest.raises(PublishError, match=rf"attempt {BLOCKS.attempts}"):
        block_retries(1000, pace=0).call(request, "write")
    assert request.calls == BLOCKS.attempts


def test_throttling_is_sat_out_for_so_long(clock):
    with pytest.raises(PublishError, match="ThrottlingException"):
        block_retries(0).call(Request(*[refused("ThrottlingException")] * 10_000), "write")
    assert THROTTLED <= clock.waited < THROTTLED + 2 * BLOCKS.longest


def test_all_requests_share_one_budget():
    retries = block_retries(3, pace=0)
    retries.call(Request(*[refused("InternalError", 500)] * 3), "write block 1")
    with pytest.raises(PublishError, match="too many requests failed"):
        retries.call(Request(refused("InternalError", 500)), "write block 2")


def young(clock, age=0.0):
    """Retries of the blocks of a snapshot that this process started so many seconds ago."""
    recent = Recent()
    recent.note("snap-1", clock.now() - age)
    return block_retries(1000, snapshot="snap-1", recent=recent)


@pytest.mark.parametrize(
    ("code", "status", "limit"),
    [("ResourceNotFoundException", 404, SETTLING), ("AccessDeniedException", 403, TAGS_SETTLING)],
)
def test_what_a_new_snapshot_may_answer_is_waited_for_only_while_it_is_new(code, status, limit, clock):
    with pytest.raises(PublishError, match=code):
        young(clock).call(Request(*[refused(code, status)] * 10_000), "write")
    assert limit <= clock.waited < limit + 2 * BLOCKS.longest
    old = Request(refused(code, status))
    with pytest.raises(PublishError, match=code):
        young(clock, limit).call(old, "write")
    assert old.calls == 1


def test_each_kind_of_failure_is_counted_by_itself(clock):
    errors = [refused("ResourceNotFoundException", 404)] * (BLOCKS.attempts + 1)
    errors += [refused("InternalError", 500)] * (BLOCKS.attempts - 1)
    assert young(clock).call(Request(*errors, refused("ThrottlingException")), "write") == "answer"


def test_a_builders_first_program_repeats_what_the_table_says():
    """It can import nothing, so it has words of its own for the table's codes."""
    for code in codes_of(Verdict.TRANSIENT) | codes_of(Verdict.THROTTLED):
        assert any(word in code for word in bootstrap.TRANSIENT), code
    statuses = {status for row in retry.TABLE for status in row.statuses if row.within is None}
    assert set(bootstrap.AGAIN) == statuses


def test_the_table_in_the_docs_is_the_one_in_the_code():
    text = (ROOT / "docs" / "retries.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"`([A-Za-z0-9*.]+)`", text))
    for row in retry.TABLE:
        assert row.codes <= documented
        assert {str(status) for status in row.statuses} <= documented
    for limit in (SETTLING, TAGS_SETTLING, THROTTLED):
        assert f"{limit:.0f} s" in text


def test_when_one_stops_all_stop():
    retries = block_retries(5, pace=0)
    retries.stop.set()
    with pytest.raises(StoppedError):
        retries.call(Request(), "write")


@pytest.mark.parametrize("error", [refused("ThrottlingException"), refused("InternalError", 500)], ids=str)
def test_a_clean_up_sits_out_what_passes_until_its_deadline(error, clock):
    assert retries_until(clock.now() + 60).call(Request(*[error] * 8), "snap-1") == "answer"
    began = clock.now()
    with pytest.raises(ClientError) as caught:
        retries_until(began + 60).call(Request(*[error] * 10_000), "snap-1")
    assert caught.value is error
    assert clock.now() - began == pytest.approx(60)


def test_a_clean_up_takes_a_refusal_as_it_is(clock):
    request = Request(refused("UnauthorizedOperation", 403))
    with pytest.raises(ClientError, match="UnauthorizedOperation"):
        retries_until(clock.now() + 60).call(request, "snap-1")
    assert request.calls == 1


def test_a_condition_is_asked_until_it_holds_and_what_aws_cannot_answer_counts_as_no(clock):
    answers = iter([False, refused("Throttling"), False, True])

    def condition():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert wait_until(condition, "it", limit=60) == pytest.approx(clock.waited)
    assert clock.waited == pytest.approx(0.2 + 0.3 + 0.45)


def test_a_wait_that_is_too_long_says_for_what_it_waited_and_what_failed_last(clock):
    with pytest.raises(TimeoutError, match=r"^waited 60 s for it; the last try: .*Throttling"):
        wait_until(Request(*[refused("Throttling")] * 10_000), "it", limit=60)
    assert clock.waited == pytest.approx(60)
    with pytest.raises(TimeoutError, match=r"^waited 60 s for it$"):
        wait_until(lambda: False, "it", limit=60)


def test_a_wait_tells_how_long_it_has_taken(clock):
    ticks = []
    with pytest.raises(TimeoutError):
        wait_until(lambda: False, "it", limit=4, longest=1, tick=ticks.append)
    assert ticks == pytest.approx([0, 0.2, 0.5, 0.95, 1.625, 2.625, 3.625])
