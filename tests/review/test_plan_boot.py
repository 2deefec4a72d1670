import json

from ingot.cli import plan_boot
from ingot.cli.reporting import Reporter
from tests.review import plans

DIGEST = plans.AFTER


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
        [boot] = plan_boot.boot_changed(plans.plan(), report)
    assert plan_boot.failures(plans.plan(boots=[boot])) == [
        f"{DIGEST[:12]} {DIGEST[:12]}: the image boots: `ingot boot` ended with status 2"
    ]
    assert "the store has no image with the recipe digest" in capfd.readouterr().err
    json.dumps(boot)


def test_what_counts_as_failed():
    good = {"name": "it answers", "ok": True, "at": 1.0, "detail": ""}
    bad = {"name": "it runs", "ok": False, "at": 2.0, "detail": "no such service"}

    def failures(*tests):
        return plan_boot.failures(plans.plan(boots=[booted(list(tests))]))

    assert failures(good) == []
    assert failures(good, bad) == [f"web {DIGEST[:12]}: it runs: no such service"]
    assert failures() == [f"web {DIGEST[:12]}: no test ran"]
    images = [plans.image(state="failed", no_diff="it does not bake: step 1 failed")]
    failed = plan_boot.failures(plans.plan(images=images, boots=[]))
    assert failed == [f"web {DIGEST[:12]}: it does not bake: step 1 failed"]
