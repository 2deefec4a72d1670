"""Rules of listeners.

Source: Elastic Load Balancing API reference, CreateRule, ModifyRule, DeleteRule, SetRulePriorities, and
the error TargetGroupAssociationLimit: a target group serves one load balancer.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from moto.elbv2.exceptions import (
    DuplicatePriorityError,
    ELBClientError,
    PriorityInUseError,
    RuleNotFoundError,
)
from moto.elbv2.models import ELBv2Backend

from localcloud.core.moto_types import ListenerRule, LoadBalancingBackend
from localcloud.core.patching import Patches

HIGHEST = 50_000
REDIRECTS = ("HTTP_301", "HTTP_302")


def install(patches: Patches) -> None:
    """Put the checks before moto's own methods."""
    patches.replace(ELBv2Backend, "create_rule", _creating)
    patches.replace(ELBv2Backend, "modify_rule", _modifying)
    patches.replace(ELBv2Backend, "delete_rule", _deleting)
    patches.replace(ELBv2Backend, "create_listener", _listening)
    patches.replace(ELBv2Backend, "modify_listener", _listening)
    patches.add(ELBv2Backend, set_rule_priorities=_set_priorities)


def _creating(original: Callable[..., object]) -> Callable[..., object]:
    signature = inspect.signature(original)

    def create(backend: LoadBalancingBackend, *rest: object, **named: object) -> object:
        given = signature.bind(backend, *rest, **named).arguments
        listener = str(given["listener_arn"])
        _check_priority(int(given["priority"]))
        if not given.get("conditions"):
            raise ELBClientError("ValidationError", "A condition must be specified")
        _check_actions(given["actions"])
        check_associations(backend, given["actions"], _balancer_of(backend, listener))
        return original(backend, *rest, **named)

    return create


def _modifying(original: Callable[..., object]) -> Callable[..., object]:
    signature = inspect.signature(original)

    def modify(backend: LoadBalancingBackend, *rest: object, **named: object) -> object:
        given = signature.bind(backend, *rest, **named).arguments
        rule = _rule(backend, str(given["rule_arn"]))
        if rule is not None:
            if rule.priority == "default":
                raise ELBClientError("OperationNotPermitted", f"Default rule '{rule.arn}' cannot be modified")
            if given.get("actions"):
                _check_actions(given["actions"])
                check_associations(backend, given["actions"], _balancer_of(backend, rule.listener_arn))
        return original(backend, *rest, **named)

    return modify


def _deleting(original: Callable[..., None]) -> Callable[..., None]:
    def delete(backend: LoadBalancingBackend, arn: str) -> None:
        rule = _rule(backend, arn)
        if rule is not None and rule.priority == "default":
            raise ELBClientError("OperationNotPermitted", f"Default rule '{arn}' cannot be deleted")
        original(backend, arn)

    return delete


def _listening(original: Callable[..., object]) -> Callable[..., object]:
    signature = inspect.signature(original)

    def listen(backend: LoadBalancingBackend, *rest: object, **named: object) -> object:
        """CreateListener, ModifyListener: the default actions are checked as those of rules."""
        given = signature.bind(backend, *rest, **named).arguments
        balancer = given.get("load_balancer_arn") or _balancer_of(backend, str(given.get("arn")))
        if given.get("actions"):
            _check_actions(given["actions"])
            check_associations(backend, given["actions"], balancer)
        return original(backend, *rest, **named)

    return listen


def _set_priorities(
    backend: LoadBalancingBackend, rule_priorities: list[dict[str, Any]]
) -> list[ListenerRule]:
    """SetRulePriorities: two rules may change places in one call."""
    wanted = {str(pair["RuleArn"]): int(pair["Priority"]) for pair in rule_priorities}
    rules: dict[str, ListenerRule] = {}
    for arn in wanted:
        rule = _rule(backend, arn)
        if rule is None:
            raise RuleNotFoundError()
        rules[arn] = rule
    if len(set(wanted.values())) < len(rule_priorities):
        counts = [int(pair["Priority"]) for pair in rule_priorities]
        raise DuplicatePriorityError(next(number for number in counts if counts.count(number) > 1))
    for arn, priority in wanted.items():
        _check_priority(priority)
        if rules[arn].priority == "default":
            raise ELBClientError("OperationNotPermitted", f"Default rule '{arn}' cannot be modified")
        others = [r for r in _rules(backend, rules[arn].listener_arn) if r.arn not in wanted]
        if any(str(other.priority) == str(priority) for other in others):
            raise PriorityInUseError()
    for arn, priority in wanted.items():
        rules[arn].priority = priority
    return list(rules.values())


def check_associations(
    backend: LoadBalancingBackend, actions: Iterable[Mapping[str, Any]], balancer: str | None
) -> None:
    """Raise when a target group would serve two load balancers."""
    if balancer not in backend.load_balancers:
        return  # moto names what is missing
    others = [
        rule
        for other in backend.load_balancers.values()
        if other.arn != balancer
        for listener in other.listeners.values()
        for rule in listener.rules.values()
    ]
    used = {arn for rule in others for arn in forwarded(action.data for action in rule.actions)}
    for arn in forwarded(actions):
        if arn in used:
            raise ELBClientError(
                "TargetGroupAssociationLimit",
                f"The following target groups cannot be associated with more than one load balancer: {arn}",
            )


def forwarded(actions: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the ARNs of the target groups that actions forward to."""
    found = []
    for action in actions:
        found.append(action.get("TargetGroupArn"))
        groups = (action.get("ForwardConfig") or {}).get("TargetGroups") or []
        found.extend(group.get("TargetGroupArn") for group in groups)
    return [arn for arn in found if arn]


def _check_priority(priority: int) -> None:
    if priority > HIGHEST:
        raise ELBClientError(
            "ValidationError",
            f"1 validation error detected: Value '{priority}' at 'priority' failed to satisfy constraint: "
            f"Member must have value less than or equal to {HIGHEST}",
        )


def _check_actions(actions: Iterable[Mapping[str, Any]]) -> None:
    listed = list(actions)
    if not listed:
        raise ELBClientError("ValidationError", "An action must be specified")
    for number, action in enumerate(listed, 1):
        code = (action.get("RedirectConfig") or {}).get("StatusCode")
        if code is not None and code not in REDIRECTS:
            raise ELBClientError(
                "ValidationError",
                f"1 validation error detected: Value '{code}' at 'actions.{number}.member.redirectConfig."
                "statusCode' failed to satisfy constraint: Member must satisfy enum value set: "
                f"[{', '.join(REDIRECTS)}]",
            )


def _rule(backend: LoadBalancingBackend, arn: str) -> ListenerRule | None:
    """Return a rule, or None."""
    listeners = [listener for b in backend.load_balancers.values() for listener in b.listeners.values()]
    return next((rule for listener in listeners for rule in listener.rules.values() if rule.arn == arn), None)


def _rules(backend: LoadBalancingBackend, listener_arn: str) -> list[ListenerRule]:
    return [
        rule
        for balancer in backend.load_balancers.values()
        for listener in balancer.listeners.values()
        if listener.arn == listener_arn
        for rule in listener.rules.values()
    ]


def _balancer_of(backend: LoadBalancingBackend, listener_arn: str) -> str | None:
    return next((b.arn for b in backend.load_balancers.values() if listener_arn in b.listeners), None)
