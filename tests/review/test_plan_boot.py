import json

import pytest

from ingot.cli import plan_boot
from ingot.cli.reporting import Reporter
from tests.review import plans

DIGEST = plans.AFTER
GOOD = {"name": "it answers", "ok": True, "at": 1.0, "detail": ""}


def booted(tests):
    return {
        "recipe": "web",
        "digest": DIGEST,
        "machine": "QEMU, tcg",
        "seconds": 30.0,
        "tests": tests,
        "lines": [],
    }


def test_only_images_that_change_and_are_here_are_booted_each_once(monkeypatch):
    seen = []
    monkeypatch.setattr(plan_boot, "_boot", lambda digest, _: seen.append(digest) or booted([]))
    images = [
        plans.image(),
        plans.image(environment="prod"),
        plans.image(before=DIGEST),
        plans.image(after="9" * 64, state="published"),
        plans.image(after="8" * 64, state="missing"),
    ]
    with Reporter() as report:
        plan_boot.boot_changed(plans.plan(images=images), report)
    assert seen == [DIGEST]


def test_an_image_that_is_not_there_is_a_failed_boot(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("INGOT_HOME", str(tmp_path))
    with Reporter() as report:
        [boot], _ = plan_boot.boot_changed(plans.plan(), report)
    assert plan_boot.failures(plans.plan(boots=[boot])) == [
        f"{DIGEST[:12]} {DIGEST[:12]}: the image boots: `ingot boot` ended with status 2"
    ]
    assert "the store has no image with the recipe digest" in capfd.readouterr().err
    json.dumps(boot)


def test_an_image_that_is_not_baked_is_a_failed_boot():
    with Reporter() as report:
        boots, notes = plan_boot.boot_changed(plans.plan(images=[plans.image(state="missing")]), report)
    assert notes == []
    assert plan_boot.failures(plans.plan(boots=boots)) == [
        f"web {DIGEST[:12]}: the image boots: it is not baked on this machine; `ingot plan --bake --boot` bakes it before"
    ]


def test_images_that_aws_boots_are_noted():
    images = [
        plans.image(state="missing", on_ami=True),
        plans.image(after="9" * 64, state="published"),
        plans.image(after="8" * 64, state="failed"),
        plans.image(before=DIGEST, state="missing"),
    ]
    with Reporter() as report:
        boots, notes = plan_boot.boot_changed(plans.plan(images=images), report)
    assert boots == []
    assert notes == [
        f"the image web {DIGEST[:12]} was not booted: it is on a base AMI, and a test clone boots when it is deployed",
        "the image web 999999999999 was not booted here: a test clone of it passed when it was published",
    ]


@pytest.mark.parametrize(
    ("text", "status", "passed"),
    [
        (json.dumps(booted([GOOD])), 0, True),
        (json.dumps(booted([GOOD])), 1, False),
        (json.dumps(booted([GOOD]))[:-9], 1, False),
    ],
    ids=["whole", "broken off", "half written"],
)
def test_a_boot_that_broke_off_has_not_passed(tmp_path, monkeypatch, text, status, passed):
    # Stands for `ingot boot`: it writes its record, and ends.
    (tmp_path / "record.json").write_text(text)
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\nfor last; do :; done\ncp {tmp_path}/record.json "$last"\nexit {status}\n')
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(program))
    with Reporter() as report:
        boots, _ = plan_boot.boot_changed(plans.plan(), report)
    found = plan_boot.failures(plans.plan(boots=boots))
    assert (found == []) is passed
    assert passed or found[0].endswith(f"the image boots: `ingot boot` ended with status {status}")


def test_what_counts_as_failed():
    bad = {"name": "it runs", "ok": False, "at": 2.0, "detail": "no such service"}

    def failures(*tests):
        return plan_boot.failures(plans.plan(boots=[booted(list(tests))]))

    assert failures(GOOD) == []
    assert failures(GOOD, bad) == [f"web {DIGEST[:12]}: it runs: no such service"]
    assert failures() == [f"web {DIGEST[:12]}: no test ran"]
    images = [plans.image(state="failed", no_diff="it does not bake: step 1 failed")]
    failed = plan_boot.failures(plans.plan(images=images, boots=[]))
    assert failed == [f"web {DIGEST[:12]}: it does not bake: step 1 failed"]
