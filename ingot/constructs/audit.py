"""Reasons, where they belong: beside the resource that departs from a rule of cdk-nag.

cdk-nag reads the metadata key ``cdk_nag`` of a resource. Writing it directly keeps cdk-nag a tool of the
tests, which users of these constructs need not install. (Format: cdk-nag's README, "Suppressing rules".)
"""

from __future__ import annotations

from aws_cdk import CfnResource
from constructs import IConstruct


def departs(construct: IConstruct, rule: str, reason: str, *, applies_to: list[str] | None = None) -> None:
    """Record why ``construct`` departs from ``rule``, for one finding of it or for all."""
    target = construct if isinstance(construct, CfnResource) else construct.node.default_child
    if not isinstance(target, CfnResource):
        raise TypeError(f"{construct.node.path} has no CloudFormation resource of its own")
    entry: dict[str, object] = {"id": rule, "reason": reason}
    if applies_to is not None:
        entry["applies_to"] = applies_to
    known = target.get_metadata("cdk_nag") or {"rules_to_suppress": []}
    target.add_metadata("cdk_nag", {"rules_to_suppress": [*known["rules_to_suppress"], entry]})
