"""Boots the images that a plan changes, and runs their tests: by `ingot boot`, one after the other."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ingot.cli import cdk
from ingot.cli.reporting import Reporter


def boot_changed(plan: Mapping[str, Any], report: Reporter) -> list[dict[str, Any]]:
    """Return the record of a boot of each image that changes and is in the store (see `ingot boot --record`)."""
    digests = dict.fromkeys(
        image["after"]
        for image in plan["images"]
        if image["state"] == "stored" and image["after"] != image["before"]
    )
    return [_boot(digest, report) for digest in digests]


def _boot(digest: str, report: Reporter) -> dict[str, Any]:
    report(f"booting {digest:.12} for its tests")
    with tempfile.TemporaryDirectory(prefix="ingot-boot-") as work:
        record = Path(work) / "record.json"
        words = [sys.executable, "-m", "ingot.cli.main", "boot", digest, "--once", "--record", str(record)]
        # The plan's stdout is its own; what a boot prints is progress here.
        status = cdk.attached(words, env=cdk.environment(), stdout=sys.stderr)
        if record.is_file():
            found: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
            return found
    # It did not come as far as a machine; why stands above.
    failed = {
        "name": "the image boots",
        "ok": False,
        "at": 0.0,
        "detail": f"`ingot boot` ended with status {status}",
    }
    return {
        "recipe": digest[:12],
        "digest": digest,
        "machine": None,
        "seconds": 0.0,
        "tests": [failed],
        "lines": [],
    }


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
