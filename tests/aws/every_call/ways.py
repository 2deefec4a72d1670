"""The two ways to publish, and what each asks of AWS.

The calls are those of a recorded run: a call that is added without being listed here fails a test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.aws.support import holdings

DIRECT = {
    "CompleteSnapshot",
    "CreateTags",
    "DescribeImages",
    "DescribeInstances",
    "DescribeSnapshots",
    "GetCallerIdentity",
    "GetConsoleOutput",
    "GetParameter",
    "PutParameter",
    "PutSnapshotBlock",
    "RegisterImage",
    "RunInstances",
    "StartSnapshot",
    "TerminateInstances",
}
BY_BUILDER = DIRECT | {
    "CreateLogStream",
    "DeleteObject",
    "DescribeInstanceTypes",
    "DescribeLaunchTemplateVersions",
    "DescribeRouteTables",
    "DescribeSubnets",
    "GetLogEvents",
    "GetObject",
    "ListObjectsV2",
    "PutLogEvents",
    "PutObject",
}
CALLS = {"directly": DIRECT, "by a builder": BY_BUILDER}
LATE = 150.0
LONG = 1e7  # seconds: the clock is driven, so only what never comes ends a wait


@dataclass
class Way:
    """A way to publish. ``run`` does it, within so many seconds of the driven clock where a builder is waited
    for. ``calls``: what it asks of AWS.
    """

    run: Callable[[float], Any]
    calls: set[str]
    console: Any


def added(before, direct):
    """Return what the account holds besides, by kind."""
    found = holdings(direct)
    more = {kind: sorted(set(ids) - set(before.get(kind, []))) for kind, ids in found.items()}
    return {kind: ids for kind, ids in more.items() if ids}


def assert_published_once(published, before, direct):
    assert added(before, direct) == {
        "snapshots": [published.snapshot_id],
        "images": [published.ami_id],
        "parameters": [f"/ingot/web/{published.digest}"],
    }
