"""Load balancers and their listeners.

Source: Elastic Load Balancing API reference, CreateListener and ModifyListener ("DuplicateListener"),
CreateLoadBalancer ("DuplicateLoadBalancerName", "InvalidConfigurationRequest", "InvalidSecurityGroup",
"SubnetNotFound"), ModifyLoadBalancerAttributes (LoadBalancerAttribute), DeleteLoadBalancer.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping

from moto.ec2.exceptions import InvalidSubnetIdError
from moto.elbv2.exceptions import DuplicateListenerError, ELBClientError
from moto.elbv2.models import ELBv2Backend

from localcloud.core.moto_types import LoadBalancer, LoadBalancingBackend
from localcloud.core.patching import Patches

NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?")


# "LoadBalancerAttribute": of an application load balancer.
RANGES = {"idle_timeout.timeout_seconds": (1, 4000), "client_keep_alive.seconds": (60, 604_800)}


def install(patches: Patches) -> None:
    """Put the checks before moto's own methods."""
    patches.replace(ELBv2Backend, "create_listener", _creating_listener)
    patches.replace(ELBv2Backend, "modify_listener", _modifying_listener)
    patches.replace(ELBv2Backend, "create_load_balancer", _creating_balancer)
    patches.replace(ELBv2Backend, "delete_load_balancer", _deleting_balancer)
    patches.replace(ELBv2Backend, "modify_load_balancer_attributes", _setting)


def _creating_listener(original: Callable[..., object]) -> Callable[..., object]:
    def create(backend: LoadBalancingBackend, *, load_balancer_arn: str, port: str, **rest: object) -> object:
        """CreateListener: a load balancer has one listener for a port."""
        _check_free(backend.load_balancers.get(load_balancer_arn), port)
        protocol = rest.get("protocol")
        if protocol in ("HTTPS", "TLS") and rest.get("certificate") is None:
            message = f"A certificate must be specified for {protocol} listeners"
            raise ELBClientError("ValidationError", message)
        return original(backend, load_balancer_arn=load_balancer_arn, port=port, **rest)

    return create


def _modifying_listener(original: Callable[..., object]) -> Callable[..., object]:
    def modify(
        backend: LoadBalancingBackend, arn: str, port: str | None = None, *rest: object, **named: object
    ) -> object:
        """ModifyListener: it cannot move to another one's port."""
        for balancer in backend.load_balancers.values():
            if arn in balancer.listeners and port is not None:
                _check_free(balancer, port, but=arn)
        return original(backend, arn, port, *rest, **named)

    return modify


def _check_free(balancer: LoadBalancer | None, port: str, *, but: str = "") -> None:
    listeners = {} if balancer is None else balancer.listeners
    if any(str(other.port) == str(port) for arn, other in listeners.items() if arn != but):
        raise DuplicateListenerError()


def _creating_balancer(original: Callable[..., object]) -> Callable[..., object]:
    signature = inspect.signature(original)

    def create(backend: LoadBalancingBackend, *rest: object, **named: object) -> object:
        """CreateLoadBalancer: a name has its form; an application load balancer needs two zones at least."""
        given = signature.bind(backend, *rest, **named).arguments
        name = str(given.get("name") or "")
        if not NAME.fullmatch(name) or name.startswith("internal-"):
            raise ELBClientError(
                "ValidationError",
                f"The load balancer name '{name}' must have 1 to 32 letters, digits and hyphens, must not "
                "begin or end "
                "with a hyphen, and must not begin with 'internal-'",
            )
        if any(balancer.name == name for balancer in backend.load_balancers.values()):
            raise ELBClientError(
                "DuplicateLoadBalancerName",
                f"A load balancer with the same name '{name}' exists, but with different settings",
            )
        for group in given.get("security_groups") or []:
            if backend.ec2_backend.get_security_group_from_id(group) is None:
                raise ELBClientError("InvalidSecurityGroup", "One or more security groups are invalid")
        mapped = [mapping["SubnetId"] for mapping in given.get("subnet_mappings") or []]
        zones = [_zone(backend, subnet_id) for subnet_id in [*(given.get("subnet_ids") or []), *mapped]]
        if len(set(zones)) < len(zones):
            raise ELBClientError(
                "InvalidConfigurationRequest",
                "A load balancer cannot be attached to multiple subnets in the same Availability Zone",
            )
        if (given.get("loadbalancer_type") or "application") == "application" and len(zones) == 1:
            raise ELBClientError(
                "ValidationError",
                "At least two subnets in two different Availability Zones must be specified",
            )
        return original(backend, *rest, **named)

    return create


def _zone(backend: LoadBalancingBackend, subnet_id: str) -> str:
    try:
        return str(backend.ec2_backend.get_subnet(subnet_id).availability_zone)
    except InvalidSubnetIdError as error:
        raise ELBClientError("SubnetNotFound", f"The subnet ID '{subnet_id}' is not valid") from error


def _setting(original: Callable[..., object]) -> Callable[..., object]:
    def modify(backend: LoadBalancingBackend, arn: str, attrs: Mapping[str, str]) -> object:
        """ModifyLoadBalancerAttributes: numbers have a range, switches two values."""
        for key, value in attrs.items():
            if key in RANGES:
                low, high = RANGES[key]
                if not str(value).isdigit() or not low <= int(value) <= high:
                    raise ELBClientError(
                        "ValidationError", f"'{key}' value '{value}' must be between '{low}-{high}' inclusive"
                    )
            elif key.endswith(".enabled") and value not in ("true", "false"):
                raise ELBClientError("ValidationError", f"'{key}' value '{value}' must be 'true' or 'false'")
        return original(backend, arn, attrs)

    return modify


def _deleting_balancer(original: Callable[..., object]) -> Callable[..., object]:
    def delete(backend: LoadBalancingBackend, arn: str) -> object:
        """DeleteLoadBalancer: not while deletion protection is on."""
        balancer: LoadBalancer | None = backend.load_balancers.get(arn)
        if balancer is not None and str(balancer.attrs.get("deletion_protection.enabled")).lower() == "true":
            raise ELBClientError(
                "OperationNotPermitted",
                f"Load balancer '{arn}' cannot be deleted because deletion protection is enabled",
            )
        return original(backend, arn)

    return delete
