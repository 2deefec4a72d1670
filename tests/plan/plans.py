"""Plans made by hand, as `ingot plan --json` writes them."""

from __future__ import annotations

from typing import Any

from ingot.plan.result import Plan
from ingot.report.files import plan_from_json

BEFORE, AFTER = "1a" * 32, "3c" * 32


def resource(path: str, impact: str = "WILL_UPDATE", **more: Any) -> dict[str, Any]:
    return {
        "logical_id": "X",
        "path": path,
        "type": "AWS::S3::Bucket",
        "impact": impact,
        "word": "changes",
        "properties": [{"name": "BucketName", "before": "a", "after": "b", "impact": impact}],
        "other": [],
        **more,
    }


def stack(**changes: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "name": "Fleet",
        "environment": None,
        "where": "aws://1/r",
        "change": "changed",
        "folded": [
            {
                "kind": "image",
                "name": "web",
                "before": BEFORE,
                "after": AFTER,
                "places": ["Resources.Clone.X"],
            }
        ],
        "resources": [resource("Fleet/Bucket")],
        "other": [],
        "security": None,
        "cdk_diff": "Stack Fleet\nResources\n[~] AWS::S3::Bucket Bucket\n └─ [-] a\n └─ [+] b",
        "dangerous": [],
    }
    return {**plain, **changes}


def image(**changes: Any) -> dict[str, Any]:
    plain = {
        "recipe": "web",
        "environment": None,
        "before": BEFORE,
        "after": AFTER,
        "state": "stored",
        "ami": None,
        "registry_asked": False,
        "diff": None,
        "no_diff": "the image is not baked",
    }
    return {**plain, **changes}


def recipe(**changes: Any) -> dict[str, Any]:
    plain = {
        "name": "web",
        "environment": None,
        "change": "changed",
        "before": BEFORE,
        "after": AFTER,
        "was": None,
        "reasons": [{"place": "image_recipes/web/recipe.yaml:7", "what": "+ packages: tree"}],
    }
    return {**plain, **changes}


def rollout(**changes: Any) -> dict[str, Any]:
    plain = {
        "stack": "Fleet",
        "environment": None,
        "group": "Group/ASG",
        "why": ["image web: 1a → 3c"],
        "minimum": 2,
        "maximum": 4,
        "instances": 2,
        "running": None,
        "steps": ["instance refresh replaces 2 clones"],
        "forecasts": [forecast(clones=2), forecast(clones=1000), forecast("a tenth", clones=2, usd=None)],
    }
    return {**plain, **changes}


def forecast(course: str = "this template", **changes: Any) -> dict[str, Any]:
    plain = {
        "course": course,
        "clones": 2,
        "seconds": 65.0,
        "most": 4,
        "extra_hours": 0.036,
        "usd": 0.001,
        "curve": [[0.0, 0], [50.0, 2]],
    }
    return {**plain, **changes}


def boot(**changes: Any) -> dict[str, Any]:
    test = {"name": "it answers", "ok": True, "at": 28.0, "detail": "", "where": "outside"}
    bad = {"name": "it runs", "ok": False, "at": 29.5, "detail": "no such service", "where": "inside"}
    plain = {
        "format": 1,
        "recipe": "web",
        "digest": AFTER,
        "machine": "QEMU, tcg",
        "seconds": 30.5,
        "tests": [test, bad],
        "lines": [[0.5, "BdsDxe: starting"], [28.0, "login:"]],
    }
    return {**plain, **changes}


def plan(**changes: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "format": 1,
        "verdict": "something",
        "dangerous": [],
        "base": {"commit": "b" * 40, "how": "where HEAD left main"},
        "head": {"commit": "c" * 40, "dirty": []},
        "against": "base",
        "notes": [],
        "recipes": [recipe()],
        "images": [image()],
        "stacks": [stack()],
        "rollouts": [rollout()],
    }
    return {**plain, **changes}


def read(**changes: Any) -> Plan:
    """The plan as `ingot comment` reads it from a file."""
    return plan_from_json(plan(**changes))
