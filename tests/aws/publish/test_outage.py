"""AWS is slow, throttles, or does not know yet what it made: no publish ends, nothing is left behind."""

from __future__ import annotations

import pytest

from ingot.aws.publish.cleanup import leftovers
from ingot.aws.publish.publish import publish as publish_image
from ingot.aws.registry.entries import lookup
from ingot.aws.session import waiting
from ingot.errors import PublishError
from tests.aws.fault_proxy import ANY
from tests.aws.support import holdings, make_image, result_line

pytestmark = pytest.mark.usefixtures("driven_clock")


@pytest.fixture
def progress():
    return []


@pytest.fixture
def image(tmp_path, passing):
    return passing(make_image(tmp_path, ["a", None, "b"]))


# One call of botocore's is five attempts: more failures than that reach us.
@pytest.mark.parametrize(
    ("operation", "how"),
    [
        ("GetConsoleOutput", {"code": "RequestLimitExceeded", "status": 503}),
        ("DescribeSnapshots", {"after": 2}),
    ],
)
def test_a_throttled_or_broken_poll_is_repeated(operation, how, image, clients, proxy, settings, progress):
    proxy.fail(operation, times=6, **how)
    assert publish_image(image, clients, settings, progress.append).ami_id
    assert proxy.seen[operation] > 6


def test_an_outage_that_outlasts_the_wait_is_told(direct, clients, proxy):
    proxy.fail("DescribeRegions", code="InternalError", status=500)
    with pytest.raises(TimeoutError, match=r"waited \d+ s for it; the last try: .*InternalError"):
        waiting.wait_until(lambda: bool(clients.ec2.describe_regions()), "it", limit=1)


@pytest.mark.parametrize("operation", ["TerminateInstances", "DeregisterImage", "DeleteSnapshot"])
def test_the_clean_up_outlasts_a_burst_of_throttling(
    operation, image, tmp_path, clients, direct, proxy, settings, progress
):
    proxy.console = lambda _instance: result_line(image, failing="apache runs")
    proxy.fail(operation, code="RequestLimitExceeded", status=503, times=6)
    with pytest.raises(PublishError, match="1 of 2 tests failed") as caught:
        publish_image(image, clients, settings, progress.append)
    assert "still there" not in str(caught.value)
    assert holdings(direct) == {}


def test_a_new_snapshot_that_ec2_does_not_know_yet_is_waited_for(image, clients, proxy, settings, progress):
    proxy.fail("DescribeSnapshots", code="InvalidSnapshot.NotFound", after=2, times=4)
    assert publish_image(image, clients, settings, progress.append).ami_id


def test_a_new_instance_that_ec2_does_not_know_yet_is_terminated_all_the_same(
    image, clients, direct, proxy, settings, progress
):
    proxy.console = lambda _instance: result_line(image, failing="apache runs")
    proxy.fail("TerminateInstances", code="InvalidInstanceID.NotFound", times=3)
    with pytest.raises(PublishError, match="1 of 2 tests failed"):
        publish_image(image, clients, settings, progress.append)
    assert holdings(direct) == {}


def test_credentials_that_expire_meanwhile_are_told_with_what_is_left_and_the_next_run_removes_it(
    image, clients, direct, proxy, settings, progress
):
    def expire(_instance):
        if not expired:
            expired.append(proxy.fail(ANY, code="ExpiredToken", status=403))
        return "booting"

    expired = []
    proxy.console = expire
    with pytest.raises(PublishError, match="the credentials in use have expired: ExpiredToken") as caught:
        publish_image(image, clients, settings, progress.append)
    assert caught.value.hint.startswith("renew the credentials")
    left = holdings(direct)
    names = [name for kind in ("images", "snapshots", "instances") for name in left[kind]]
    assert len(names) == 3
    assert [name for name in names if name not in str(caught.value)] == []
    proxy.heal()
    proxy.console = lambda _instance: result_line(image)
    published = publish_image(image, clients, settings, progress.append)
    found = holdings(direct)
    assert "instances" not in found
    assert (found["images"], found["snapshots"]) == ([published.ami_id], [published.snapshot_id])


@pytest.mark.slow
def test_a_line_of_2_mbit_carries_a_publish_without_sending_a_block_twice(
    tmp_path, passing, clients, proxy, settings, progress
):
    image = passing(make_image(tmp_path, [*"abcdefghijklmnop"], name="many"))
    proxy.rate = 2e6 / 8
    assert publish_image(image, clients, settings, progress.append).blocks_sent == 16
    assert proxy.seen["PutSnapshotBlock"] == 16


TERMINATING = (
    '<TerminateInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r</requestId>'
    "<instancesSet/></TerminateInstancesResponse>"
)


def test_a_clone_that_passed_and_ends_slowly_costs_no_ami(
    image, clients, direct, proxy, settings, progress, monkeypatch, tmp_path
):
    monkeypatch.setattr(leftovers, "TERMINATION_LIMIT", 1.0)
    proxy.answers["TerminateInstances"] = TERMINATING
    published = publish_image(image, clients, settings, progress.append)
    assert lookup(direct.ssm, "web", image.digest) == published.ami_id
    assert any("still terminating" in line for line in progress)
    assert holdings(direct)["instances"]
    proxy.answers.clear()
    assert publish_image(image, clients, settings, progress.append).ami_id == published.ami_id
    assert "instances" not in holdings(direct)
    assert not list((tmp_path / "records" / "publishing").glob("*.json"))


def test_the_console_of_a_silent_builder_is_not_read_at_every_look(
    publish, stand_in, proxy, driven_clock, nothing_remains
):
    stand_in.runs = False
    # Its log may be unknown for three minutes; in the two after them it is looked for every two seconds.
    with pytest.raises(PublishError, match="never reported"):
        publish(boot_limit=300)
    assert driven_clock.waited > 180
    assert 1 < proxy.seen["GetConsoleOutput"] <= 15
    assert proxy.seen["GetLogEvents"] > 2 * proxy.seen["GetConsoleOutput"]
    nothing_remains()
