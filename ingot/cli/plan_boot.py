"""Boots the images that a plan changes, and runs their tests: by `ingot boot`, one after the other."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ingot.cli.reporting import Reporter
from ingot.plan.infrastructure.cdk import environment
from ingot.process import run_attached


def boot_changed(plan: Mapping[str, Any], report: Reporter) -> tuple[list[dict[str, Any]], list[str]]:
    """Boot each image that changes and is in the store.

    Returns the records of the boots (see `ingot boot --record`) and notes on images that are for AWS to boot. An image that is not here, and
    would have to be, has the record of a boot that failed: it proved nothing.
    """
    boots: dict[str, dict[str, Any]] = {}
    notes: list[str] = []
    for image in plan["images"]:
        digest = str(image["after"])
        if digest in boots or digest == image["before"] or image["state"] == "failed":
            continue
        name = f"the image {image['recipe']} {digest:.12}"
        if image["state"] == "stored":
            boots[digest] = _boot(digest, report)
        elif image["state"] == "published":
            notes.append(f"{name} was not booted here: a test clone of it passed when it was published")
        elif image.get("on_ami"):
            notes.append(
                f"{name} was not booted: it is on a base AMI, and a test clone boots when it is deployed"
            )
        else:
            detail = "it is not baked on this machine; `ingot plan --bake --boot` bakes it before"
            boots[digest] = {**_record(digest, [_failed(detail)]), "recipe": image["recipe"]}
    return list(boots.values()), list(dict.fromkeys(notes))


def _boot(digest: str, report: Reporter) -> dict[str, Any]:
    report(f"booting {digest:.12} for its tests")
    with tempfile.TemporaryDirectory(prefix="ingot-boot-") as work:
        path = Path(work) / "record.json"
        words = [sys.executable, "-m", "ingot.cli.main", "boot", digest, "--once", "--record", str(path)]
        # The plan's stdout is its own; what a boot prints is progress here.
        status = run_attached(words, env=environment(Path.cwd()), stdout=sys.stderr)
        record = _read(path)
    ended = _failed(f"`ingot boot` ended with status {status}")
    if record is None:  # it did not come as far as a machine; why stands above
        return _record(digest, [ended])
    # The record is written whatever happens: of a boot that broke off, the tests so far may all have passed.
    if status != 0 and all(test["ok"] for test in record["tests"]):
        record["tests"].append({**ended, "at": record["seconds"]})
    return record


def _read(path: Path) -> dict[str, Any] | None:
    """Return a record; None for one that was not written, or not to its end."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return found


def _failed(detail: str) -> dict[str, Any]:
    return {"name": "the image boots", "ok": False, "at": 0.0, "detail": detail}


def _record(digest: str, tests: list[dict[str, Any]]) -> dict[str, Any]:
    what = {"recipe": digest[:12], "digest": digest, "machine": None, "seconds": 0.0}
    return {**what, "tests": tests, "lines": []}


def failures(plan: Mapping[str, Any]) -> list[str]:
    """Return one sentence for each image that does not bake and each test that failed; an image without a test passed none."""
    images = [image for image in plan["images"] if image["state"] == "failed"]
    found = [f"{image['recipe']} {image['after'][:12]}: {image['no_diff']}" for image in images]
    for boot in plan["boots"]:
        name = f"{boot['recipe']} {boot['digest'][:12]}"
        found += [f"{name}: {test['name']}: {test.get('detail')}" for test in boot["tests"] if not test["ok"]]
        if not boot["tests"]:
            found.append(f"{name}: no test ran")
    return found
