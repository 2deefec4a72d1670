"""What a run that was broken off leaves to the next one."""

import time

import pytest

from ingot.fleet.proved import Proof, Proofs


@pytest.fixture
def now():
    """When the test runs; that the module was imported may be longer ago than a proof is fresh."""
    return time.time()


def asked(proofs, *, ami="ami-1", digest="d", max_age=1200.0):
    return proofs.at("i-1", ami, digest, max_age=max_age)


def proved(directory, at):
    Proofs.of(directory, "1", "us-east-1", "Fleet").add(Proof("i-1", "ami-1", "d", at))
    return Proofs.of(directory, "1", "us-east-1", "Fleet")


def test_a_proof_counts_for_the_same_image_while_it_is_fresh(tmp_path, now):
    proofs = proved(tmp_path, now - 100)
    assert asked(proofs) == now - 100
    assert asked(proofs, max_age=50) is None
    assert asked(proofs, ami="ami-2") is None, "its root volume was replaced"
    assert asked(proofs, digest="e") is None
    assert proofs.at("i-2", "ami-1", "d", max_age=1200) is None


def test_a_proof_of_the_future_is_none(tmp_path, now):
    assert asked(proved(tmp_path, now + 3600)) is None


def test_each_fleet_has_its_own(tmp_path, now):
    proved(tmp_path, now)
    for others in (("2", "us-east-1", "Fleet"), ("1", "eu-west-1", "Fleet"), ("1", "us-east-1", "Other")):
        assert asked(Proofs.of(tmp_path, *others)) is None


def test_a_line_that_was_broken_off_and_lines_of_other_versions_are_passed_over(tmp_path, now):
    proved(tmp_path, now - 100)
    [file] = tmp_path.iterdir()
    whole = file.read_text()
    file.write_text('[2, "i-1", "ami-9", "d", 0]\n{}\n[1, "i-1"]\n' + whole + whole[:-9])
    assert asked(Proofs.of(tmp_path, "1", "us-east-1", "Fleet")) == now - 100


def test_a_run_that_has_ended_leaves_nothing(tmp_path, now):
    proofs = proved(tmp_path, now)
    proofs.forget()
    assert asked(proofs) is None
    assert list(tmp_path.iterdir()) == []


def test_without_a_directory_nothing_is_kept(tmp_path, now):
    proofs = Proofs.of(None, "1", "us-east-1", "Fleet")
    proofs.add(Proof("i-1", "ami-1", "d", now))
    assert asked(proofs) is None
    assert list(tmp_path.iterdir()) == []
