"""Target groups, their attributes and targets.

Source: Elastic Load Balancing API reference, CreateTargetGroup, ModifyTargetGroup, TargetGroupAttribute,
RegisterTargets ("InvalidTarget"), DeregisterTargets ("If the specified target does not exist, the action
returns successfully"); the words are those that ELB answers with.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

from moto.elbv2.exceptions import ELBClientError, TargetGroupNotFoundError
from moto.elbv2.models import ELBv2Backend

from localcloud.core.moto_types import LoadBalancingBackend, Moto, TargetGroupRecord
from localcloud.core.patching import Patches

TARGET_TYPES = ("instance", "ip", "lambda", "alb")
INSTANCE = re.compile(r"i-[0-9a-f]{8}(?:[0-9a-f]{9})?")
# Highest values, by the names that the API gives them: "CreateTargetGroup", parameters.
HIGHEST = {
    "healthCheckIntervalSeconds": 300, "healthCheckTimeoutSeconds": 120, "healthyThresholdCount": 10,
    "unhealthyThresholdCount": 10, "port": 65_535,
}  # fmt: skip
CODES = (200, 499)  # of a matcher of an application load balancer
# "TargetGroupAttribute": numbers with their range, switches, and those with a few values; None: any text.
NUMBERS = {
    "deregistration_delay.timeout_seconds": (0, 3600), "stickiness.lb_cookie.duration_seconds": (1, 604_800),
    "stickiness.app_cookie.duration_seconds": (1, 604_800),
}  # fmt: skip
SLOW_START = "slow_start.duration_seconds"
SWITCHES = (
    "stickiness.enabled", "lambda.multi_value_headers.enabled", "proxy_protocol_v2.enabled",
    "preserve_client_ip.enabled", "deregistration_delay.connection_termination.enabled",
    "target_health_state.unhealthy.connection_termination.enabled",
)  # fmt: skip
OTHERS = (
    SLOW_START, "stickiness.type", "stickiness.app_cookie.cookie_name", "load_balancing.algorithm.type",
    "load_balancing.algorithm.anomaly_mitigation", "load_balancing.cross_zone.enabled",
    "target_failover.on_deregistration", "target_failover.on_unhealthy",
    "target_group_health.dns_failover.minimum_healthy_targets.count",
    "target_group_health.dns_failover.minimum_healthy_targets.percentage",
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count",
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage",
    "target_health_state.unhealthy.draining_interval_seconds",
)  # fmt: skip


def install(patches: Patches) -> None:
    """Put the checks before moto's own methods."""
    patches.replace(ELBv2Backend, "create_target_group", _creating)
    patches.replace(ELBv2Backend, "modify_target_group", _modifying)
    patches.replace(ELBv2Backend, "modify_target_group_attributes", _setting)
    patches.replace(ELBv2Backend, "register_targets", _registering)
    patches.replace(ELBv2Backend, "deregister_targets", _deregistering)


def refusal(message: str, code: str = "ValidationError") -> ELBClientError:
    """Return an error of Elastic Load Balancing."""
    return ELBClientError(code, message)


def _creating(original: Callable[..., object]) -> Callable[..., object]:
    def create(backend: LoadBalancingBackend, name: str, **named: Moto) -> object:
        kind = named.get("target_type") or "instance"
        if kind not in TARGET_TYPES:
            raise _constraint(kind, "targetType", f"satisfy enum value set: [{', '.join(TARGET_TYPES)}]")
        _check(
            {
                "port": named.get("port"),
                "healthCheckIntervalSeconds": named.get("healthcheck_interval_seconds"),
                "healthCheckTimeoutSeconds": named.get("healthcheck_timeout_seconds"),
                "healthyThresholdCount": named.get("healthy_threshold_count"),
                "unhealthyThresholdCount": named.get("unhealthy_threshold_count"),
            }
        )
        matcher = (named.get("matcher") or {}).get("HttpCode")
        _check_health(kind, named.get("healthcheck_path"), matcher, named.get("healthcheck_enabled"))
        return original(backend, name, **named)

    return create


def _modifying(original: Callable[..., object]) -> Callable[..., object]:
    signature = inspect.signature(original)

    def modify(backend: LoadBalancingBackend, *rest: object, **named: object) -> object:
        given = signature.bind(backend, *rest, **named).arguments
        record = backend.target_groups.get(given["arn"])
        if record is not None:
            interval, timeout = given.get("health_check_interval"), given.get("health_check_timeout")
            _check(
                {
                    "healthCheckIntervalSeconds": interval,
                    "healthCheckTimeoutSeconds": timeout,
                    "healthyThresholdCount": given.get("healthy_threshold_count"),
                    "unhealthyThresholdCount": given.get("unhealthy_threshold_count"),
                }
            )
            kind = record.target_type or "instance"
            _check_health(
                kind,
                given.get("health_check_path"),
                given.get("http_codes"),
                given.get("health_check_enabled"),
            )
            longest = int(interval or record.health_check_interval_seconds)
            wanted = int(timeout or record.health_check_timeout_seconds)
            if wanted >= longest:
                raise refusal(
                    f"Health check timeout '{wanted}' must be smaller than the interval '{longest}'"
                )
        return original(backend, *rest, **named)

    return modify


def _check(numbers: Mapping[str, Any]) -> None:
    for name, value in numbers.items():
        if value is not None and int(value) > HIGHEST[name]:
            raise _constraint(value, name, f"have value less than or equal to {HIGHEST[name]}")


def _constraint(value: object, name: str, must: str) -> ELBClientError:
    return refusal(
        f"1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint: Member must "
        f"{must}"
    )


def _check_health(kind: str, path: str | None, matcher: str | None, enabled: object) -> None:
    if enabled is not None and str(enabled).lower() == "false" and kind != "lambda":
        raise refusal(f"Health check enabled must be true for target groups with target type '{kind}'")
    if path and not path.startswith("/"):
        raise refusal(f"Health check path '{path}' must begin with a '/' character")
    for code in re.findall(r"\d+", matcher or ""):
        if not CODES[0] <= int(code) <= CODES[1]:
            low, high = CODES
            raise refusal(f"Health check matcher HTTP code '{code}' must be within '{low}-{high}' inclusive")


def _setting(original: Callable[..., None]) -> Callable[..., None]:
    def set_attributes(backend: LoadBalancingBackend, arn: str, attributes: Mapping[str, Any]) -> None:
        for key, value in attributes.items():
            _check_attribute(key, str(value))
        original(backend, arn, attributes)

    return set_attributes


def _check_attribute(key: str, value: str) -> None:
    if key in NUMBERS:
        low, high = NUMBERS[key]
        if not value.isdigit() or not low <= int(value) <= high:
            raise refusal(f"'{key}' value '{value}' must be between '{low}-{high}' inclusive")
    elif key == SLOW_START:
        if not value.isdigit() or not (int(value) == 0 or 30 <= int(value) <= 900):
            raise refusal(f"'{key}' value '{value}' must be between '30-900' inclusive, or '0'")
    elif key in SWITCHES:
        if value not in ("true", "false"):
            raise refusal(f"'{key}' value '{value}' must be 'true' or 'false'")
    elif key not in OTHERS:
        raise refusal(f"Target group attribute key '{key}' is not recognized")


def _registering(original: Callable[..., None]) -> Callable[..., None]:
    def register(
        backend: LoadBalancingBackend, target_group_arn: str, instances: list[Mapping[str, Any]]
    ) -> None:
        """RegisterTargets: instances that exist, in the target group's VPC."""
        record: TargetGroupRecord | None = backend.target_groups.get(target_group_arn)
        if record is not None and (getattr(record, "target_type", None) or "instance") == "instance":
            for target in instances:
                _check_instance(backend, record, str(target["Id"]))
        original(backend, target_group_arn, instances)

    return register


def _check_instance(backend: LoadBalancingBackend, record: TargetGroupRecord, instance_id: str) -> None:
    if not INSTANCE.fullmatch(instance_id):
        raise refusal(f"Instance ID '{instance_id}' is not valid")
    instance = backend.ec2_backend.get_instance_by_id(instance_id)
    if instance is None:
        raise refusal(
            f"The following targets are not in a running state and cannot be registered: '{instance_id}'",
            "InvalidTarget",
        )
    if instance.vpc_id != record.vpc_id:
        raise refusal(
            f"The following targets are not in the target group VPC '{record.vpc_id}': '{instance_id}'",
            "InvalidTarget",
        )


def _deregistering(original: Callable[..., None]) -> Callable[..., None]:
    def deregister(
        backend: LoadBalancingBackend, target_group_arn: str, instances: list[Mapping[str, Any]]
    ) -> None:
        record = backend.target_groups.get(target_group_arn)
        if record is None:
            raise TargetGroupNotFoundError()
        original(backend, target_group_arn, [t for t in instances if t["Id"] in record.targets])

    return deregister
