"""Every step of a publish fails in turn: nothing may remain, and the message says what failed."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from contextlib import suppress

import pytest

from ingot.aws.publish.publish import publish
from ingot.errors import PublishError
from tests.aws.support import holdings, inventory_line, make_image, result_line

pytestmark = pytest.mark.usefixtures("driven_clock")
# Every call of a publish that makes or changes something, and those that it waits with.
STEPS = [
    "StartSnapshot",
    "PutSnapshotBlock",
    "CompleteSnapshot",
    "DescribeSnapshots",
    "RegisterImage",
    "RunInstances",
    "GetConsoleOutput",
    "CreateTags",
    "PutParameter",
]
# What is asked before anything is made is asked again for the clean-up, so it fails a few calls later.
PASSES_FIRST = {"DescribeSnapshots": 2}


def quiet(_message):
    """Progress that nobody reads."""


@pytest.fixture
def image(tmp_path, passing):
    return passing(make_image(tmp_path, ["a", None, *"bcdefgh"]))


def assert_nothing_remains(direct, tmp_path):
    assert holdings(direct) == {}
    assert not list((tmp_path / "records" / "publishing").glob("*.json"))


@pytest.mark.parametrize("operation", STEPS)
def test_a_refused_step_leaves_nothing(operation, image, tmp_path, clients, direct, proxy, settings):
    # A policy on tags may refuse the blocks of a new snapshot for a moment: that is repeated.
    times = None if operation in ("PutSnapshotBlock", "CompleteSnapshot") else 1
    proxy.fail(
        operation, code="UnauthorizedOperation", status=403, times=times, after=PASSES_FIRST.get(operation, 0)
    )
    with pytest.raises(PublishError, match=operation) as caught:
        publish(image, clients, settings, quiet)
    assert_nothing_remains(direct, tmp_path)
    assert f"need permission for {operation}" in str(caught.value)


@pytest.mark.parametrize("operation", [step for step in STEPS if step != "GetConsoleOutput"])
def test_a_lost_answer_is_asked_for_again_and_makes_nothing_twice(
    operation, image, clients, direct, proxy, settings
):
    proxy.fail(operation, lost=True, times=1, after=PASSES_FIRST.get(operation, 0))
    published = publish(image, clients, settings, quiet)
    found = holdings(direct)
    assert (found["snapshots"], found["images"]) == ([published.snapshot_id], [published.ami_id])
    assert "instances" not in found
    assert len(found["parameters"]) == 1


def test_a_snapshot_of_which_no_answer_ever_came_is_found_by_its_tag(
    image, tmp_path, clients, direct, proxy, settings
):
    proxy.fail("StartSnapshot", lost=True)
    with pytest.raises(PublishError, match="start the snapshot"):
        publish(image, clients, settings, quiet)
    assert_nothing_remains(direct, tmp_path)


@pytest.mark.parametrize(
    ("code", "status"),
    [("RequestThrottledException", 400), ("ThrottlingException", 400), ("InternalServerException", 500)],
)
def test_blocks_are_retried(code, status, image, clients, proxy, settings):
    proxy.fail("PutSnapshotBlock", code=code, status=status, after=2, times=5)
    assert publish(image, clients, settings, quiet).blocks_sent == 8
    assert proxy.seen["PutSnapshotBlock"] == 8 + 5


def test_a_policy_on_tags_may_not_see_a_new_snapshots_tags_at_once(image, clients, proxy, settings):
    proxy.fail("PutSnapshotBlock", code="AccessDeniedException", status=403, times=5)
    assert publish(image, clients, settings, quiet).blocks_sent == 8


def test_a_new_snapshot_may_be_unknown_for_a_while(image, clients, proxy, settings):
    proxy.fail("PutSnapshotBlock", code="ResourceNotFoundException", status=404, times=40)
    assert publish(image, clients, settings, quiet).blocks_sent == 8


def test_dropped_connections_are_retried(image, clients, proxy, settings):
    proxy.fail("PutSnapshotBlock", after=3, times=4)
    assert publish(image, clients, settings, quiet).blocks_sent == 8


def test_blocks_that_fail_for_good_end_the_publish(image, tmp_path, clients, direct, proxy, settings):
    proxy.fail("PutSnapshotBlock", code="InternalServerException", status=500, after=3)
    with pytest.raises(PublishError, match=r"write block .*InternalServerException"):
        publish(image, clients, settings, quiet)
    assert_nothing_remains(direct, tmp_path)


def test_what_cannot_be_removed_is_named_and_removed_by_the_next_publish(
    image, tmp_path, clients, direct, proxy, settings
):
    proxy.fail("CompleteSnapshot", code="ValidationException", times=1)
    proxy.fail("DeleteSnapshot", code="UnauthorizedOperation", status=403, times=1)
    with pytest.raises(PublishError, match=r"still there: snapshot snap-\w+: DeleteSnapshot") as caught:
        publish(image, clients, settings, quiet)
    assert "run the same command again" in str(caught.value)
    left = holdings(direct)["snapshots"]
    proxy.heal()
    proxy.console = lambda _instance: result_line(image)
    published = publish(image, clients, settings, quiet)
    assert holdings(direct)["snapshots"] == [published.snapshot_id] != left


def test_a_failing_test_is_named_with_the_end_of_the_console(
    image, tmp_path, clients, direct, proxy, settings
):
    proxy.console = lambda _instance: (
        "Linux version 6\n" + result_line(image, failing="apache runs") + "\nlast words\n"
    )
    with pytest.raises(PublishError, match="1 of 2 tests failed") as caught:
        publish(image, clients, settings, quiet)
    assert "apache runs: HTTP 500" in str(caught.value)
    assert "last words" in str(caught.value)
    assert_nothing_remains(direct, tmp_path)


@pytest.mark.parametrize(
    ("says", "message"),
    [
        (lambda image: result_line(image, digest="0" * 64), "says that it is 000"),
        (lambda image: result_line(image, results=[], ok=True), "did not run: apache runs, the app answers"),
        (lambda image: result_line(image, ok=False), "did not run: its tests to the end"),
        (
            lambda image: (
                inventory_line(image, differs={"files": ["/etc/passwd changed"]}) + "\n" + result_line(image)
            ),
            "differs from its manifest in: files",
        ),
    ],
)
def test_a_clone_that_is_not_what_it_should_be_fails(
    says, message, image, tmp_path, clients, direct, proxy, settings
):
    proxy.console = lambda _instance: says(image)
    with pytest.raises(PublishError, match=message):
        publish(image, clients, settings, quiet)
    assert_nothing_remains(direct, tmp_path)


def test_a_clone_that_dies_is_not_waited_for(image, tmp_path, clients, direct, proxy, settings):
    def dies(instance_id):
        direct.ec2.terminate_instances(InstanceIds=[instance_id])
        return "reboot: Power down\n"

    proxy.console = dies
    with pytest.raises(PublishError, match="never reported") as caught:
        publish(image, clients, settings, quiet)
    assert "Power down" in str(caught.value)
    assert_nothing_remains(direct, tmp_path)


def test_a_torn_line_is_not_believed(image, tmp_path, clients, direct, proxy, settings):
    torn = result_line(image, failing="apache runs").replace("apache", "ap[ 12.3] audit: ache")
    proxy.console = lambda _instance: torn + "\n" + result_line(image) + "\n" + torn[:60] + "\n"
    assert publish(image, clients, settings, quiet).ami_id


def test_a_kernel_that_panics_is_not_waited_for(image, tmp_path, clients, direct, proxy, settings):
    proxy.console = lambda _instance: "[  0.5] Kernel panic - not syncing: IO-APIC + timer doesn't work!\n"
    with pytest.raises(PublishError, match=r"the kernel of the test clone i-\w+ panicked") as caught:
        publish(image, clients, settings, quiet)
    assert "IO-APIC + timer" in str(caught.value)
    assert_nothing_remains(direct, tmp_path)


def test_an_interrupt_removes_everything(image, tmp_path, clients, direct, proxy, settings):
    main = threading.main_thread().ident
    proxy.fail(
        "PutSnapshotBlock",
        after=4,
        times=1,
        code="InternalServerException",
        status=500,
        then=lambda: signal.pthread_kill(main, signal.SIGINT),
    )
    with pytest.raises(KeyboardInterrupt):
        publish(image, clients, settings, quiet)
    assert_nothing_remains(direct, tmp_path)


def test_a_second_zone_is_tried_when_the_first_is_full(image, clients, proxy, settings):
    proxy.fail("RunInstances", code="InsufficientInstanceCapacity", status=400, times=1)
    assert publish(image, clients, settings, quiet).ami_id
    assert proxy.seen["RunInstances"] == 2


def test_the_same_digest_is_not_published_twice_at_a_time(image, clients, direct, proxy, settings):
    second = []

    def publish_too():
        if not second:
            second.append(None)
            with pytest.raises(PublishError, match="another process is publishing web") as caught:
                publish(image, clients, settings, quiet)
            second[0] = caught.value

    proxy.console = lambda _instance: (publish_too(), result_line(image))[1]
    assert publish(image, clients, settings, quiet).ami_id
    assert isinstance(second[0], PublishError)


@pytest.fixture
def small_records(tmp_path):
    """A file system of 64 KiB for the publish's own records, and what fills it to the last byte."""
    if os.geteuid() != 0:
        pytest.skip("mounts a file system")
    records = tmp_path / "records"
    records.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "small", records], check=True)

    def fill():
        with (records / "filler").open("wb", buffering=0) as filler, suppress(OSError):
            while True:
                filler.write(bytes(4096))

    yield fill
    subprocess.run(["umount", records], check=True)


def test_a_disk_that_is_full_from_the_start_is_said_before_anything_is_made(
    image, small_records, clients, direct, settings
):
    small_records()
    with pytest.raises(OSError, match=r"No space left on device: '.*/publishing/.*\.json'"):
        publish(image, clients, settings, quiet)
    assert holdings(direct) == {}


def test_a_disk_that_becomes_full_meanwhile_keeps_no_publish_from_its_end(
    image, small_records, tmp_path, clients, proxy, settings
):
    proxy.fail("StartSnapshot", lost=True, times=1, then=small_records)
    assert publish(image, clients, settings, quiet).ami_id
    assert list((tmp_path / "records" / "publishing").glob("*.json")) == []


def test_a_disk_that_becomes_full_meanwhile_keeps_no_failed_publish_from_cleaning_up(
    image, small_records, tmp_path, clients, direct, proxy, settings
):
    proxy.fail("StartSnapshot", lost=True, times=1, then=small_records)
    proxy.fail("RunInstances", code="UnauthorizedOperation", status=403, times=1)
    with pytest.raises(PublishError, match="RunInstances"):
        publish(image, clients, settings, quiet)
    assert_nothing_remains(direct, tmp_path)
