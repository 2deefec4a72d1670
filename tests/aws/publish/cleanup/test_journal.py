"""The journal: on disk before anything exists, locked while its publish lives."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ingot.aws.publish.cleanup.journal import PublishTarget, Resource, dead_journals, open_journal
from ingot.errors import PublishError

TARGET = PublishTarget("123456789012", "us-east-1", "web", "ab" * 32)


def test_what_is_recorded_is_there_for_the_next_to_open_it(tmp_path):
    with open_journal(tmp_path, TARGET) as journal:
        journal.begin("id-1")
        snapshot = journal.record("snapshot", "snap-1")
        journal.record("image", "ami-1")
        journal.forget(snapshot)
    with open_journal(tmp_path, TARGET) as journal:
        assert (journal.publish_id, journal.resources) == ("id-1", [Resource("image", "ami-1")])


def test_a_torn_journal_reads_as_empty(tmp_path):
    (tmp_path / TARGET.filename).write_text('{"format": 1, "publish_id": "id-')
    with open_journal(tmp_path, TARGET) as journal:
        assert (journal.publish_id, journal.resources) == ("", [])


def test_a_journal_in_use_is_not_opened_twice_and_is_not_dead(tmp_path):
    with open_journal(tmp_path, TARGET):
        with pytest.raises(PublishError, match="another process is publishing web"):
            with open_journal(tmp_path, TARGET):
                pytest.fail("opened a journal that is in use")
        assert not list(dead_journals(tmp_path, replace(TARGET, digest="cd" * 32)))


def test_dead_journals_are_those_of_the_same_recipe_account_and_region(tmp_path):
    others = [
        replace(TARGET, digest="cd" * 32),
        replace(TARGET, recipe="api"),
        replace(TARGET, region="eu-west-1"),
        replace(TARGET, account="210987654321"),
    ]
    for number, target in enumerate(others):
        with open_journal(tmp_path, target) as journal:
            journal.begin(f"id-{number}")
    assert [journal.publish_id for journal in dead_journals(tmp_path, TARGET)] == ["id-0"]
