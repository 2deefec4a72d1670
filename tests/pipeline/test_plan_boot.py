"""Booting the images that a plan changes: which are booted, and what counts as failed."""

import json
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from ingot.errors import CloudError
from ingot.pipeline import boot, store
from ingot.pipeline.plan import boot_changed, boot_image, failures
from ingot.plan.boots import BootRecord
from ingot.progress import silent
from tests.plan import plans

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


def test_only_images_that_change_and_are_here_are_booted_each_once():
    seen = []
    images = [
        plans.image(),
        plans.image(environment="prod"),
        plans.image(before=DIGEST),
        plans.image(after="9" * 64, state="published"),
        plans.image(after="8" * 64, state="missing"),
    ]
    content = plans.read(images=images)
    boot_changed(
        content,
        silent,
        silent,
        boot=lambda digest, *_: seen.append(digest) or BootRecord.from_json(booted([])),
    )
    assert seen == [DIGEST]


def test_an_image_that_is_not_there_is_a_failed_boot(tmp_path, monkeypatch):
    monkeypatch.setenv("INGOT_HOME", str(tmp_path))
    lines = []
    [record], _ = boot_changed(plans.read(), silent, lines.append)
    missing = f"the store has no image with the recipe digest {DIGEST}"
    assert failures(plans.read(boots=[record.to_json()])) == [
        f"{DIGEST[:12]} {DIGEST[:12]}: the image boots: {missing}"
    ]
    assert lines == [f"{missing}\n  hint: list them with: ingot store"]
    json.dumps(record.to_json())


def test_an_image_that_is_not_baked_is_a_failed_boot():
    boots, notes = boot_changed(plans.read(images=[plans.image(state="missing")]), silent, silent)
    assert notes == []
    assert failures(plans.read(boots=[boot.to_json() for boot in boots])) == [
        f"web {DIGEST[:12]}: the image boots: it is not baked on this machine; `ingot plan --bake --boot`"
        " bakes it before"
    ]


def test_images_that_aws_boots_are_noted():
    images = [
        plans.image(state="missing", on_ami=True),
        plans.image(after="9" * 64, state="published"),
        plans.image(after="8" * 64, state="failed"),
        plans.image(before=DIGEST, state="missing"),
    ]
    boots, notes = boot_changed(plans.read(images=images), silent, silent)
    assert boots == []
    assert notes == [
        (
            f"the image web {DIGEST[:12]} was not booted: it is on a base AMI, and a test clone boots when it"
            " is deployed"
        ),
        "the image web 999999999999 was not booted here: a test clone of it passed when it was published",
    ]


@pytest.mark.parametrize(
    "error", [None, CloudError("the machine ended"), OSError(28, "No space left on device")]
)
def test_a_boot_that_broke_off_has_not_passed(monkeypatch, error):
    @contextmanager
    def machine(*_):
        yield SimpleNamespace(
            url="http://127.0.0.1:1/",
            watch=SimpleNamespace(record=lambda: BootRecord.from_json(booted([GOOD]))),
        )

    def tests(_machine, result, _progress):
        result("ok      it answers")
        if error is not None:
            raise error

    monkeypatch.setattr(store, "stored_image", lambda digest: digest)
    monkeypatch.setattr(boot, "booted", machine)
    monkeypatch.setattr(boot, "run_tests", tests)
    lines = []
    record = boot_image(DIGEST, silent, lines.append)
    assert lines[:2] == ["http://127.0.0.1:1/", "ok      it answers"]
    names = [test.name for test in record.tests]
    assert names == (["it answers"] if error is None else ["it answers", "the image boots"])
    failed = failures(plans.read(boots=[record.to_json()]))
    assert failed == ([] if error is None else [f"web {DIGEST[:12]}: the image boots: {error}"])


def test_a_boot_that_is_interrupted_interrupts_the_plan(monkeypatch):
    @contextmanager
    def machine(*_):
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(store, "stored_image", lambda digest: digest)
    monkeypatch.setattr(boot, "booted", machine)
    with pytest.raises(KeyboardInterrupt):
        boot_image(DIGEST, silent, silent)


def test_what_counts_as_failed():
    bad = {"name": "it runs", "ok": False, "at": 2.0, "detail": "no such service"}

    def failed(*tests):
        return failures(plans.read(boots=[booted(list(tests))]))

    assert failed(GOOD) == []
    assert failed(GOOD, bad) == [f"web {DIGEST[:12]}: it runs: no such service"]
    assert failed() == [f"web {DIGEST[:12]}: no test ran"]
    images = [plans.image(state="failed", no_diff="it does not bake: step 1 failed")]
    assert failures(plans.read(images=images, boots=[])) == [
        f"web {DIGEST[:12]}: it does not bake: step 1 failed"
    ]
