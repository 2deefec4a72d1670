"""Publishing by a builder instance that fails: what remains (nothing), and what the message says."""

from __future__ import annotations

import os
import threading
from dataclasses import replace

import pytest

from ingot.bake.instance import __main__ as program
from ingot.errors import BakeError, PublishError
from tests.aws.support import holdings

# Seconds of a driven clock, of which a builder that really works may need many.
LONG = 1e5
STEPS = [
    "DescribeInstanceTypes",
    "DescribeSubnets",
    "StartSnapshot",
    "RunInstances",
    "DescribeInstances",
    "CompleteSnapshot",
    "CreateTags",
    "RegisterImage",
]


@pytest.mark.parametrize("operation", STEPS)
def test_a_refused_step_leaves_nothing(operation, publish, proxy, nothing_remains):
    # Before anything is made, DescribeInstances looks for what a former publish left.
    after = 1 if operation == "DescribeInstances" else 0
    # A policy on tags may refuse a new snapshot for a moment: that is repeated.
    times = None if operation == "CompleteSnapshot" else 1
    proxy.fail(operation, code="UnauthorizedOperation", status=403, times=times, after=after)
    with pytest.raises(PublishError, match=operation) as caught:
        publish()
    nothing_remains()
    assert "permission" in str(caught.value)


def test_a_builder_that_may_not_write_blocks_says_so(publish, proxy, nothing_remains):
    proxy.fail("PutSnapshotBlock", code="AccessDeniedException", status=403)
    with pytest.raises(PublishError, match=r"failed: PUT .*/blocks/\d: HTTP status 403") as caught:
        publish()
    assert "the end of its log:\n" in str(caught.value)
    assert "    upload: 0 of 7 blocks sent" in str(caught.value)
    nothing_remains()


def test_blocks_are_sent_again_when_they_are_throttled(publish, proxy):
    proxy.fail("PutSnapshotBlock", code="ThrottlingException", status=400, times=1, after=1)
    proxy.fail("PutSnapshotBlock", times=1, after=3)
    assert publish().blocks_sent == 7


def test_a_bake_that_fails_is_told_with_its_hint(publish, stand_in, nothing_remains):
    def fail(stage):
        if stage == "bake":
            raise BakeError(
                "recipe.yaml:30: the step `false` failed: exit status 1", hint="a step runs as root"
            )

    stand_in.before = fail
    with pytest.raises(PublishError, match=r"failed: recipe.yaml:30: the step `false` failed") as caught:
        publish()
    assert caught.value.hint == "a step runs as root"
    nothing_remains()


@pytest.mark.parametrize(
    ("at", "said"),
    [("start", "before it said a word"), ("bake", "it ended in bake"), ("done", "it ended in bake")],
)
def test_a_builder_that_is_killed_leaves_nothing(
    at, said, publish, stand_in, direct, driven_clock, nothing_remains
):
    def kill(stage):
        if stage == at:
            direct.ec2.terminate_instances(InstanceIds=[stand_in.instance_id])
            stand_in.off()

    stand_in.before = kill
    with pytest.raises(PublishError, match=rf"the builder i-\w+ is terminated.*{said}"):
        publish(boot_limit=LONG, silence_limit=LONG, limit=LONG)
    nothing_remains()


def test_a_builder_that_dies_while_it_sends_blocks_leaves_nothing(
    publish, stand_in, direct, proxy, nothing_remains
):
    def kill():
        direct.ec2.terminate_instances(InstanceIds=[stand_in.instance_id])

    proxy.fail("PutSnapshotBlock", code="AccessDeniedException", status=403, after=3, then=kill)
    with pytest.raises(PublishError):
        publish()
    nothing_remains()


@pytest.mark.parametrize("at", ["snapshot", "builder i-"])
def test_after_a_kill_of_the_publish_the_next_one_ends_its_builder(at, publish, stand_in, direct, base):
    child = os.fork()
    if child == 0:
        stand_in.killed_at = at
        try:
            publish()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    left = holdings(direct)
    assert len(left["snapshots"]) == len(base["snapshots"]) + 1
    assert ("instances" in left) == (at == "builder i-")
    published = publish()
    found = holdings(direct)
    assert "instances" not in found
    assert sorted(found["snapshots"]) == sorted([*base["snapshots"], published.snapshot_id])
    assert sorted(found["images"]) == sorted([*base["images"], published.ami_id])


def test_a_builder_that_never_reports_is_ended(publish, stand_in, driven_clock, nothing_remains):
    stand_in.runs = False
    with pytest.raises(PublishError, match=r"never reported within 1 s") as caught:
        publish(boot_limit=1)
    assert "does its image run user data" in str(caught.value)
    assert "the end of its console:\n    booting" in str(caught.value)
    nothing_remains()


def test_a_builder_that_falls_silent_is_ended(publish, stand_in, nothing_remains):
    ended = threading.Event()
    stand_in.before = lambda stage: ended.wait(30) if stage == "bake" else None
    try:
        with pytest.raises(PublishError, match=r"has been silent for \d+ s"):
            publish(silence_limit=2)
    finally:
        ended.set()
    nothing_remains()


def test_a_block_that_is_not_the_manifests_is_refused_when_the_snapshot_completes(
    publish, stand_in, direct, nothing_remains, monkeypatch
):
    """The builder is not believed: EBS compares what it wrote with the manifest that it left."""
    to_send = program.to_send
    monkeypatch.setattr(program, "to_send", lambda *blocks, **how: to_send(*blocks, **how)[1:])
    with pytest.raises(PublishError, match="complete snap-"):
        publish()
    nothing_remains()


def test_a_manifest_of_another_recipe_is_refused(publish, stand_in, nothing_remains, monkeypatch):
    bake = stand_in.bake
    monkeypatch.setattr(
        program,
        "bake",
        lambda job, **how: bake(job._replace(spec=replace(job.spec, recipe_digest="0" * 64)), **how),
    )
    with pytest.raises(PublishError, match="the builder baked 0000"):
        publish()
    nothing_remains()
