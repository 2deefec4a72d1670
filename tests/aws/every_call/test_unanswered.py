"""Every call of a publish, directly and by a builder instance, when it is never answered again."""

from __future__ import annotations

import pytest

from ingot.errors import PublishError
from tests.aws.every_call.ways import BY_BUILDER, DIRECT, LONG, added, assert_published_once

# Their answers are not needed, or they are asked before anything is made. Whether an instance has ended is
# looked for whatever was answered.
HARMLESS = {"DeleteObject", "ListObjectsV2", "TerminateInstances", *(BY_BUILDER - DIRECT)}
# Asked once, when nothing has been made yet.
BEFORE = {
    "DescribeInstanceTypes",
    "DescribeLaunchTemplateVersions",
    "DescribeRouteTables",
    "DescribeSubnets",
    "GetCallerIdentity",
}
HOST = sorted(BY_BUILDER - BEFORE - {"CreateLogStream", "PutLogEvents"})
# Asked again and again, for as long as what they are asked about may take.
POLLED = {"DescribeInstances", "DescribeSnapshots", "GetConsoleOutput", "GetLogEvents"}
POLLED_FOR = 600.0  # seconds of the driven clock


# Either fault leaves the caller without an answer, so the operations take turns.
WITHOUT_ANSWER = [{"shape": "malformed"}, {"code": "InternalError", "status": 500, "lost": True}]


@pytest.mark.parametrize(
    ("operation", "how"), [(name, WITHOUT_ANSWER[number % 2]) for number, name in enumerate(HOST)], ids=HOST
)
def test_what_is_not_survived_names_what_is_left_and_the_next_run_takes_it_away(
    operation, how, way, before, proxy, direct
):
    """The operation does its work and never answers, from when the first thing was made."""
    if operation not in way.calls:
        pytest.skip("not a call of this way")
    proxy.fail(operation, once_made=True, **how)
    said = ""
    try:
        way.run(POLLED_FOR if operation in POLLED else LONG)
    except PublishError as error:
        said = str(error)
        left = [name for ids in added(before, direct).values() for name in ids]
        # What was made without an answer has no name yet: it is described by what it was asked by.
        assert [name for name in left if name not in said and "no answer came" not in said] == []
    proxy.heal()
    proxy.console = way.console
    assert_published_once(way.run(LONG), before, direct)
    if operation not in HARMLESS:
        assert said
