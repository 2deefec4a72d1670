"""What clones say of themselves, judged."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import replace

import pytest

from ingot.aws.instances import console
from ingot.fleet import verify
from ingot.fleet.consoles import limit_for
from ingot.fleet.sample import most_bad
from ingot.fleet.status import Clone, FleetStatus
from ingot.fleet.verify import VerifyOptions, hear, judge, verify_fleet
from tests.aws.support import BOOT, inventory_line, line, make_image
from tests.outputs import document_of


@pytest.fixture
def image(tmp_path):
    return make_image(tmp_path, ["a", "b"])


@pytest.fixture
def clone(image):
    return Clone("i-1", "ami-1", "1", "InService", "healthy", "web", image.digest)


def verdict_on(image, clone, text, **settings):
    return judge(clone, image.manifest["inventory"], hear(text), **({"limit": 7} | settings))


def test_a_clone_that_equals_its_manifest_is_good(image, clone):
    verdict = verdict_on(image, clone, "boot\r\n" + inventory_line(image) + "\r\nlogin:")
    assert verdict.ok
    assert 0 <= verdict.age < 60


def test_a_changed_clone_is_named_with_sections_and_paths(image, clone):
    text = inventory_line(image, differs={"files": ["/etc/motd changed"], "users": ["/etc/passwd changed"]})
    verdict = verdict_on(image, clone, text)
    assert not verdict.ok
    assert verdict.sections == ("files", "users")
    assert verdict.differs == ("/etc/motd changed", "/etc/passwd changed")


def test_the_last_word_counts(image, clone):
    good, bad = inventory_line(image), inventory_line(image, differs={"files": ["/etc/motd changed"]})
    assert not verdict_on(image, clone, f"{good}\n{bad}\n").ok
    assert verdict_on(image, clone, f"{bad}\n{good}\n").ok


def test_a_line_with_a_wrong_checksum_is_no_word(image, clone):
    forged = inventory_line(image)[:-1] + "x"
    verdict = verdict_on(image, clone, f"{forged}\nKernel panic\n")
    assert "no inventory on its console within 7 s" in verdict.problem
    assert "Kernel panic" in verdict.problem


def test_sections_of_which_the_manifest_knows_nothing_differ(image, clone):
    text = inventory_line(image, sections=image.manifest["inventory"] | {"more": "0" * 64})
    assert verdict_on(image, clone, text).sections == ("more",)


def test_a_clone_of_another_image_is_named(image, clone):
    text = inventory_line(image, digest="0" * 64)
    assert "recipe digest is 0000" in verdict_on(image, clone, text).problem


def test_an_inventory_that_is_too_old_proves_nothing(image, clone):
    text = inventory_line(image, time=int(time.time()) - 3000)
    verdict = verdict_on(image, clone, text)
    assert not verdict.ok
    assert "its newest inventory is 50 minutes old; the limit is 20 minutes" in verdict.problem
    assert verdict_on(image, clone, text, max_age=4000).ok


def test_a_line_of_a_boot_before_the_last_one_is_no_word(image, clone):
    other = BOOT.replace("6a3f", "ffff")
    booted = [line("ingot-image", {"boot": boot, "digest": image.digest}) for boot in (BOOT, other)]
    assert verdict_on(image, clone, f"{booted[0]}\n{inventory_line(image)}\n").ok
    verdict = verdict_on(image, clone, f"{inventory_line(image)}\n{booted[1]}\n")
    assert "no inventory on its console" in verdict.problem
    assert verdict_on(image, clone, f"{booted[1]}\n{inventory_line(image, boot=other)}\n").ok


class NoAws:
    """Clients of which nothing is asked: the tests say what consoles hold."""

    region = "us-east-1"

    def paced(self, operation, pace):
        assert operation == "GetConsoleOutput"
        return nullcontext()


class Consoles(dict):
    """What the consoles hold, by instance id; ``clones``: those of the fleet."""


@pytest.fixture
def fleet(monkeypatch, image, clone):
    """A fleet of two clones, and what their consoles hold."""
    consoles = Consoles({"i-1": inventory_line(image), "i-2": inventory_line(image)})
    consoles.clones = [clone, replace(clone, instance_id="i-2")]
    status = FleetStatus(
        "IngotFleet",
        "http://x",
        "group",
        "web",
        image.digest,
        2,
        "1",
        (),
        None,
    )
    monkeypatch.setattr(
        verify, "fleet_status", lambda _clients, _stack: replace(status, clones=tuple(consoles.clones))
    )
    monkeypatch.setattr(verify, "find", lambda *_: None)  # no entry: tests/fleet/test_identity.py
    monkeypatch.setattr(console, "read_console", lambda _clients, instance: consoles[instance])
    return consoles


def run(image, **changes):
    settings = {"manifest_of": {image.digest: image.manifest}.get, "progress": lambda _line: None}
    named = {key: changes.pop(key) for key in ("limit", "sample", "kept", "restart") if key in changes}
    options = VerifyOptions(**({"limit": 0.5} | named))
    return verify_fleet(NoAws(), "IngotFleet", **(settings | changes), options=options)


def test_a_fleet_is_good_when_all_its_clones_are(image, fleet):
    assert run(image).ok
    fleet["i-2"] = inventory_line(image, differs={"files": ["/usr/bin/x added"]})
    verdict = run(image)
    assert [(clone.instance_id, clone.ok) for clone in verdict.clones] == [("i-1", True), ("i-2", False)]
    assert not verdict.ok


def test_clones_that_have_not_reported_are_waited_for(image, fleet):
    line, fleet["i-2"] = fleet["i-2"], "booting"
    lines = []

    def progress(message):
        lines.append(message)
        fleet["i-2"] = line

    assert run(image, progress=progress, limit=30).ok
    assert lines == ["waiting for the inventory of i-2"]


def test_a_young_clone_is_given_the_time_until_its_first_inventory(image, fleet, monkeypatch):
    """On EBS it reads its volume when the boot has settled: the wait says so, and is so much longer."""
    limits = []

    def wait(complete, _what, *, limit, **_options):
        limits.append(limit)
        complete()

    monkeypatch.setattr(verify, "wait_until", wait)
    lines = []
    fleet["i-2"] = "booting"
    now = time.time()
    for age in (60, 3600):
        fleet.clones[1] = replace(fleet.clones[1], launched=now - age)
        run(image, progress=lines.append, limit=None)
    assert limits == [pytest.approx(limits[1] + 240, abs=30), limit_for(2)]
    assert lines == [
        "waiting for the inventory of i-2: on EBS a clone takes its first one 5 minutes after it booted",
        "waiting for the inventory of i-2",
    ]


def test_a_silent_clone_makes_the_fleet_bad_and_the_others_are_judged(image, fleet):
    fleet["i-2"] = ""
    assert [clone.ok for clone in run(image).clones] == [True, False]


def test_a_clone_that_said_something_long_ago_is_waited_for(image, fleet):
    fleet["i-2"] = inventory_line(image, time=int(time.time()) - 3000)

    def progress(_message):
        fleet["i-2"] += "\n" + inventory_line(image, sequence=2)

    assert run(image, progress=progress, limit=30).ok


def test_a_clone_of_which_nothing_is_known_is_named_and_the_others_are_judged(image, fleet):
    fleet.clones[1] = replace(fleet.clones[1], ami_id="ami-2", digest="f" * 64)
    fleet.clones.append(replace(fleet.clones[0], instance_id="i-3", digest="unknown"))
    verdict = run(image)
    assert [clone.ok for clone in verdict.clones] == [True, False, False]
    problem = verdict.clones[1].problem
    assert "the manifest of web ffffffffffff is not in this machine's store" in problem
    assert "`ingot bake web`" in problem
    assert verdict.clones[2].problem == "ami-1 has no tag ingot:digest: not an image of Ingot"
    assert not verdict.ok


def test_without_a_manifest_the_tags_of_the_ami_say_what_a_clone_holds(image, fleet):
    fleet.clones[:] = [replace(clone, inventory=image.manifest["inventory"]) for clone in fleet.clones]
    fleet["i-2"] = inventory_line(image, differs={"files": ["/usr/bin/x added"]})
    verdict = run(image, manifest_of=lambda _digest: None)
    assert [(clone.ok, clone.sections) for clone in verdict.clones] == [(True, ()), (False, ("files",))]


def test_a_run_that_was_broken_off_goes_on_with_the_others(image, fleet, tmp_path, monkeypatch):
    asked = []

    def read(_clients, instance):
        asked.append(instance)
        if fleet[instance] is None:
            raise KeyboardInterrupt
        return fleet[instance]

    monkeypatch.setattr(console, "read_console", read)
    good, fleet["i-2"] = fleet["i-2"], None
    with pytest.raises(KeyboardInterrupt):
        run(image, kept=tmp_path)
    fleet["i-2"], asked[:], lines = good, [], []
    verdict = run(image, kept=tmp_path, progress=lines.append)
    assert verdict.ok
    assert [clone.age is not None for clone in verdict.clones] == [True, True]
    assert asked == ["i-2"]
    assert lines == [
        "1 of 2 clones proved already, by a run that was broken off; --restart asks them again",
    ]
    asked[:] = []
    assert run(image, kept=tmp_path).ok
    assert sorted(asked) == ["i-1", "i-2"], "that run ended: nothing of it counts"


def test_a_restart_forgets_what_was_proved(image, fleet, tmp_path):
    fleet.clones[1] = replace(fleet.clones[1], instance_id="i-none")
    with pytest.raises(KeyError):
        run(image, kept=tmp_path)
    fleet.clones.pop()
    fleet["i-1"] = inventory_line(image, differs={"files": ["/etc/motd changed"]})
    assert run(image, kept=tmp_path).ok, "proved a moment ago"
    fleet.clones.append(replace(fleet.clones[0], instance_id="i-none"))
    with pytest.raises(KeyError):
        run(image, kept=tmp_path)
    fleet.clones.pop()
    assert not run(image, kept=tmp_path, restart=True).ok


def test_a_clone_that_differs_is_asked_again(image, fleet, tmp_path):
    fleet.clones[1] = replace(fleet.clones[1], instance_id="i-none")
    good, fleet["i-1"] = fleet["i-1"], inventory_line(image, differs={"files": ["/etc/motd changed"]})
    with pytest.raises(KeyError):
        run(image, kept=tmp_path)
    fleet.clones.pop()
    fleet["i-1"] = good
    assert run(image, kept=tmp_path).ok


def test_a_sample_says_what_it_proves_of_all(image, fleet, tmp_path):
    fleet.clones[:] = [replace(fleet.clones[0], instance_id=f"i-{number}") for number in range(100)]
    fleet.update({clone.instance_id: fleet["i-1"] for clone in fleet.clones})
    verdict = run(image, sample=20, kept=tmp_path)
    assert verdict.ok
    assert verdict.is_sample
    assert (len(verdict.clones), verdict.fleet) == (20, 100)
    assert (
        document_of("verify fleet", verdict.as_dict())["most_bad"] == verdict.most_bad == most_bad(100, 20, 0)
    )
    whole = run(image, sample=100)
    assert not whole.is_sample
    assert "most_bad" not in document_of("verify fleet", whole.as_dict())
