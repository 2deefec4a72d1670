"""The infrastructure diff: each stack before and after, what is dangerous first, digest noise folded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ingot.plan.infrastructure.assembly import Stack
from ingot.plan.infrastructure.cdk import AT_ONCE, Cdk
from ingot.plan.infrastructure.fold import Folded, fold
from ingot.plan.infrastructure.template_diff import ElementChange, ResourceChange, SecurityChange


@dataclass(frozen=True)
class StackPlan:
    """What happens to one stack.

    ``change``: same, changed, new, or removed (from the app; it stays deployed).
    """

    name: str
    environment: str | None
    where: str
    """Account and region."""
    change: str
    folded: tuple[Folded, ...] = ()
    resources: tuple[ResourceChange, ...] = ()
    """The worst impact first."""
    other: tuple[ElementChange, ...] = ()
    security: SecurityChange | None = None
    cdk_diff: str = ""
    """What ``cdk diff`` says, with the folded digests left out."""
    template: Mapping[str, Any] | None = None
    """The template after; None when the stack is removed."""

    @property
    def dangerous(self) -> list[str]:
        """One sentence for each dangerous change: deletions, replacements, wider permissions."""
        sentences = [_sentence(self.name, change) for change in self.resources if change.dangerous]
        if self.security is not None and self.security.broadened:
            sentences += [f"{self.name}: {line}" for line in self.security.wider()]
        return sentences

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "name": self.name,
            "environment": self.environment,
            "where": self.where,
            "change": self.change,
            "folded": [folded.to_json() for folded in self.folded],
            "resources": [change.to_json() for change in self.resources],
            "other": [change.to_json() for change in self.other],
            "security": None if self.security is None else self.security.to_json(),
            "cdk_diff": self.cdk_diff,
            "dangerous": self.dangerous,
        }


def _sentence(stack: str, change: ResourceChange) -> str:
    why = [part.name for part in change.properties if part.dangerous]
    because = f", because of {', '.join(why)}" if why else ""
    return f"{stack}: {change.word} {change.path.removeprefix(f'{stack}/')} ({change.type}){because}"


def compare_stacks(
    cdk: Cdk, before: Mapping[str, Stack], after: Mapping[str, Stack], assembly: Path, environment: str | None
) -> list[StackPlan]:
    """Return what happens to each stack. ``assembly`` holds the stacks of ``after``."""
    pairs = []
    for name, stack in after.items():
        old = before.get(name)
        template = {} if old is None else old.template
        folded, found = fold(template, stack.template, stack.assets)
        change = "new" if old is None else "same" if folded == stack.template and not found else "changed"
        plan = StackPlan(name, environment, stack.environment, change, tuple(found), template=stack.template)
        pairs.append((plan, stack, folded))
    pairs = _without_folded_dangers(cdk, pairs, {name: stack.template for name, stack in before.items()})
    # A template that is equal after folding needs no process to say so.
    differing = [pair for pair in pairs if pair[2] != pair[1].template]
    details = _details(cdk, differing, assembly)
    plans = [details.get(plan.name, plan) for plan, _, _ in pairs]
    gone = [
        StackPlan(name, environment, old.environment, "removed")
        for name, old in before.items()
        if name not in after
    ]
    return [*plans, *gone]


def _without_folded_dangers(
    cdk: Cdk, pairs: Sequence[tuple[StackPlan, Stack, dict[str, Any]]], before: Mapping[str, dict[str, Any]]
) -> list[tuple[StackPlan, Stack, dict[str, Any]]]:
    """Return ``pairs`` with nothing folded in resources that another digest replaces: an instance, say."""
    folding = [(plan.name, stack) for plan, stack, _ in pairs if plan.folded]
    found = cdk.compare([(before[name], stack.template) for name, stack in folding]) if folding else []
    replaced = {
        name: [change.logical_id for change in diff.resources if change.dangerous]
        for (name, _), diff in zip(folding, found, strict=True)
    }
    result = []
    for plan, stack, folded in pairs:
        was = before.get(plan.name, {}).get("Resources", {})
        kept = {name: was[name] for name in replaced.get(plan.name, ()) if name in was}
        whole = {**folded, "Resources": {**folded["Resources"], **kept}} if kept else folded
        result.append((plan, stack, whole))
    return result


def _details(
    cdk: Cdk, pairs: Sequence[tuple[StackPlan, Stack, dict[str, Any]]], assembly: Path
) -> dict[str, StackPlan]:
    if not pairs:
        return {}
    with ThreadPoolExecutor(AT_ONCE) as threads:
        shown = [threads.submit(cdk.diff, assembly, stack.selector, folded) for _, stack, folded in pairs]
        found = cdk.compare([(folded, stack.template) for _, stack, folded in pairs])
        return {
            plan.name: replace(
                plan,
                resources=diff.resources,
                other=diff.other,
                security=diff.security,
                cdk_diff=text.result(),
            )
            for (plan, _, _), diff, text in zip(pairs, found, shown, strict=True)
        }
