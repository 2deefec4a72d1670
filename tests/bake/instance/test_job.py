"""What a builder instance is plain comes through its user data unchanged."""

import json

from ingot.bake.instance.job import read_builder_job
from tests.bake.instance.jobs import JOB


def test_a_job_is_read_as_it_was_written():
    assert read_builder_job(JOB.text()) == JOB


def test_the_first_program_finds_what_it_fetches_by_name():
    plain = json.loads(JOB.text())
    assert [plain[name] for name in ("region", "bucket", "bundle", "bundle_sha256")] == list(JOB[:4])
