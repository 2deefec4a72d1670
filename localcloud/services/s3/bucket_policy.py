"""Bucket policies.

Moto enforces them and ignores their conditions, so "deny unless by TLS" denies everything.

AWS: a statement applies only when all its conditions hold ("IAM JSON policy elements: Condition", IAM user
guide). Here ``aws:SecureTransport`` is taken as true: requests never leave the machine. A statement with any
other condition is not enforced, because moto does not hand the request's context on.
"""

from __future__ import annotations

import json
from typing import Any

from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.s3.models import FakeBucket

from localcloud.core.moto_types import BucketRecord
from localcloud.core.patching import Patches

SECURE = {"aws:securetransport": "true"}


def applies(statement: dict[str, Any]) -> bool:
    """Say whether a statement's conditions hold for every request to the local cloud."""
    for operator, tests in (statement.get("Condition") or {}).items():
        for key, expected in tests.items():
            values = expected if isinstance(expected, list) else [expected]
            known = SECURE.get(key.lower())
            if operator != "Bool" or known is None or known not in [str(value).lower() for value in values]:
                return False
    return True


def install(patches: Patches) -> None:
    """Make moto's buckets look at the conditions."""

    def get_permission(self: BucketRecord, action: str, resource: str) -> object:
        if self.policy is None:
            return PermissionResult.NEUTRAL
        document = json.loads(self.policy)
        statements = document.get("Statement", [])
        listed = statements if isinstance(statements, list) else [statements]
        enforced = {**document, "Statement": [statement for statement in listed if applies(statement)]}
        return IAMPolicy(json.dumps(enforced)).is_action_permitted(action, resource)

    patches.add(FakeBucket, get_permission=get_permission)
