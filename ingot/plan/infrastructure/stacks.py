"""The infrastructure diff: each stack before and after, what is dangerous first, digest noise folded."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ingot.assembly import Stack
from ingot.plan.infrastructure.cdk import AT_ONCE, Cdk
from ingot.plan.infrastructure.fold import Folded, fold

# What happens to a resource, the worst first: the words of the CDK's differ, and ours.
IMPACTS = {
    "WILL_DESTROY": "deletes",
    "WILL_REPLACE": "replaces",
    "WILL_ORPHAN": "abandons",
    "MAY_REPLACE": "may replace",
    "WILL_IMPORT": "imports",
    "WILL_UPDATE": "changes",
    "WILL_CREATE": "creates",
}
DANGEROUS = ("WILL_DESTROY", "WILL_REPLACE", "WILL_ORPHAN", "MAY_REPLACE")


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
    resources: tuple[dict[str, Any], ...] = ()
    """As infrastructure_differ.js gives them, the worst impact first."""
    other: tuple[dict[str, Any], ...] = ()
    security: Mapping[str, Any] | None = None
    cdk_diff: str = ""
    """What ``cdk diff`` says, with the folded digests left out."""
    template: Mapping[str, Any] | None = None
    """The template after; None when the stack is removed."""

    @property
    def dangerous(self) -> list[str]:
        """One sentence for each dangerous change: deletions, replacements, wider permissions."""
        found = [
            _sentence(self.name, resource) for resource in self.resources if resource["impact"] in DANGEROUS
        ]
        if self.security is not None and self.security["broadened"]:
            found += [f"{self.name}: {line}" for line in broadened(self.security)]
        return found

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "name": self.name,
            "environment": self.environment,
            "where": self.where,
            "change": self.change,
            "folded": [folded.to_json() for folded in self.folded],
            "resources": [
                {**resource, "word": IMPACTS.get(resource["impact"], "")} for resource in self.resources
            ],
            "other": list(self.other),
            "security": self.security,
            "cdk_diff": self.cdk_diff,
            "dangerous": self.dangerous,
        }


def _follows(resource: Mapping[str, Any]) -> bool:
    """Whether a resource is replaced only because one that it refers to is.

    The CDK's differ marks such references.
    """
    why = [p for p in resource["properties"] if p["impact"] in DANGEROUS]
    return bool(why) and all("(replaced)" in json.dumps(p["after"]) for p in why)


def _sentence(stack: str, resource: Mapping[str, Any]) -> str:
    why = [p["name"] for p in resource["properties"] if p["impact"] in DANGEROUS]
    because = f", because of {', '.join(why)}" if why else ""
    return f"{stack}: {IMPACTS[resource['impact']]} {_short(resource['path'], stack)} ({resource['type']}){because}"


def _short(path: str, stack: str) -> str:
    return path.removeprefix(f"{stack}/")


def broadened(security: Mapping[str, Any]) -> list[str]:
    """Return one line for each statement, policy and rule that lets more through than before."""
    lines = []
    for sign, resource, effect, action, principal, condition in security["statements"]:
        if (sign, effect) in (("+", "Allow"), ("-", "Deny")):
            text = f"{_line(effect)} {_line(action)} on {_line(resource)} for {_line(principal)}"
            lines.append(
                f"{'adds' if sign == '+' else 'removes'} {text}" + (" under a condition" if condition else "")
            )
    lines += [
        f"attaches {_line(policy)} to {_line(to)}" for sign, to, policy in security["policies"] if sign == "+"
    ]
    for sign, group, direction, protocol, peer in security["rules"]:
        if sign == "+":
            lines.append(f"opens {group} {direction.lower()}wards: {_line(protocol)}, {_line(peer)}")
    return lines


def _line(text: str) -> str:
    return ", ".join(text.split("\n"))


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
    """Return ``pairs`` with nothing folded in the resources that another digest replaces: an instance by its image, say."""
    folding = [(plan.name, stack) for plan, stack, _ in pairs if plan.folded]
    found = cdk.compare([(before[name], stack.template) for name, stack in folding]) if folding else []
    replaced = {
        name: [r["logical_id"] for r in diff["resources"] if r["impact"] in DANGEROUS]
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
                resources=tuple(sorted(diff["resources"], key=_badness)),
                other=tuple(diff["other"]),
                security=diff["security"],
                cdk_diff=text.result(),
            )
            for (plan, _, _), diff, text in zip(pairs, found, shown, strict=True)
        }


def _badness(resource: Mapping[str, Any]) -> tuple[int, str]:
    impacts = list(IMPACTS)
    impact = resource["impact"]
    return (impacts.index(impact) if impact in impacts else len(impacts), resource["path"])
