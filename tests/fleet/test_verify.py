"""What clones say of themselves, judged."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ingot.aws import console
from ingot.errors import VerificationError
from ingot.fleet import verify
from ingot.fleet.status import Clone, FleetStatus
from ingot.fleet.verify import judge, verify_fleet
from tests.aws.support import inventory_line, make_image


@pytest.fixture
def image(tmp_path):
    return make_image(tmp_path, ["a", "b"])


@pytest.fixture
def clone(image):
    return Clone("i-1", "ami-1", "1", "InService", "healthy", "web", image.digest)


def said(text):
    return console.last_line(text, console.INVENTORY)


def test_a_clone_that_equals_its_manifest_is_good(image, clone):
    text = "boot\r\n" + inventory_line(image) + "\r\nlogin:"
    assert judge(clone, said(text), image.manifest, text, 1).ok


def test_a_changed_clone_is_named_with_sections_and_paths(image, clone):
    text = inventory_line(image, differs={"files": ["/etc/motd changed"], "users": ["/etc/passwd changed"]})
    verdict = judge(clone, said(text), image.manifest, text, 1)
    assert not verdict.ok
    assert verdict.sections == ("files", "users")
    assert verdict.differs == ("/etc/motd changed", "/etc/passwd changed")


def test_the_last_word_counts(image, clone):
    good, bad = inventory_line(image), inventory_line(image, differs={"files": ["/etc/motd changed"]})
    assert not judge(clone, said(f"{good}\n{bad}\n"), image.manifest, "", 1).ok
    assert judge(clone, said(f"{bad}\n{good}\n"), image.manifest, "", 1).ok


def test_a_line_with_a_wrong_checksum_is_no_word(image, clone):
    forged = inventory_line(image)[:-1] + "x"
    assert said(forged) is None
    verdict = judge(clone, None, image.manifest, "Kernel panic\n", 7)
    assert "no inventory on its console within 7 s" in verdict.problem
    assert "Kernel panic" in verdict.problem


def test_sections_of_which_the_manifest_knows_nothing_differ(image, clone):
    text = inventory_line(image, sections=image.manifest["inventory"] | {"more": "1"})
    assert judge(clone, said(text), image.manifest, text, 1).sections == ("more",)


def test_a_clone_of_another_image_is_named(image, clone):
    text = inventory_line(image, digest="0" * 64)
    assert "recipe digest is 0000" in judge(clone, said(text), image.manifest, text, 1).problem


@pytest.fixture
def fleet(monkeypatch, image, clone):
    """A fleet of two clones, and what their consoles hold."""
    status = FleetStatus(
        "IngotFleet",
        "http://x",
        "group",
        "web",
        image.digest,
        2,
        "1",
        (clone, replace(clone, instance_id="i-2")),
        None,
    )
    consoles = {"i-1": inventory_line(image), "i-2": inventory_line(image)}
    monkeypatch.setattr(verify, "fleet_status", lambda _clients, _stack: status)
    monkeypatch.setattr(console, "read_console", lambda _clients, instance: consoles[instance])
    return consoles


def run(image, **changes):
    settings = {
        "manifest_of": {image.digest: image.manifest}.get,
        "progress": lambda _line: None,
        "limit": 0.5,
    }
    return verify_fleet(None, **(settings | changes))


def test_a_fleet_is_good_when_all_its_clones_are(image, fleet):
    assert run(image).ok
    fleet["i-2"] = inventory_line(image, differs={"files": ["/usr/bin/x added"]})
    verdict = run(image)
    assert [(clone.instance_id, clone.ok) for clone in verdict.clones] == [("i-1", True), ("i-2", False)]
    assert not verdict.ok


def test_clones_that_have_not_reported_are_waited_for(image, fleet):
    line, fleet["i-2"] = fleet["i-2"], "booting"
    told = []

    def progress(message):
        told.append(message)
        fleet["i-2"] = line

    assert run(image, progress=progress, limit=30).ok
    assert told == ["waiting for the inventory of i-2"]


def test_a_silent_clone_makes_the_fleet_bad_and_the_others_are_judged(image, fleet):
    fleet["i-2"] = ""
    assert [clone.ok for clone in run(image).clones] == [True, False]


def test_a_manifest_that_is_not_here_is_said_so(image, fleet):
    with pytest.raises(VerificationError, match="is not in this machine's store"):
        run(image, manifest_of=lambda _digest: None)
