"""What moto takes and AWS refuses, or does only once: small rules, each with AWS's error code.

Sources: EC2 API reference, RunInstances ("ClientToken", "BlockDeviceMappings"), "Ensuring idempotency" and "Error codes"; Elastic Load Balancing
API reference, CreateListener and ModifyListener ("DuplicateListener"), CreateLoadBalancer, DeleteLoadBalancer; Systems Manager API
reference, PutParameter; EC2 user guide, "Tag restrictions". Filters are in :mod:`localcloud.services.ec2.filters`.
"""

from __future__ import annotations

import inspect
import re
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError, InvalidID
from moto.ec2.models.instances import InstanceBackend
from moto.ec2.responses.instances import InstanceResponse
from moto.ec2.responses.tags import TagResponse
from moto.elbv2.exceptions import DuplicateListenerError, ELBClientError
from moto.elbv2.models import ELBv2Backend
from moto.ssm.models import SimpleSystemManagerBackend

from localcloud.core.moto_types import Moto
from localcloud.services.ec2.launch import mappings, template_data

LONGEST_TOKEN = 64  # ASCII characters
LONGEST_KEY, LONGEST_VALUE = 127, 256  # characters: EC2 API reference, "Tag"
BALANCER_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?")
# moto's own, taken once: a process may start several clouds, one after the other.
_RUN_INSTANCES: Callable[[Moto], ActionResult] = InstanceResponse.run_instances
_LAUNCH: Callable[..., Moto] = InstanceBackend.run_instances
_MODIFY_LISTENER: Callable[..., Moto] = ELBv2Backend.modify_listener
_CREATE_LISTENER: Callable[..., Moto] = ELBv2Backend.create_listener
_CREATE_BALANCER: Callable[..., Moto] = ELBv2Backend.create_load_balancer
_DELETE_BALANCER: Callable[..., Moto] = ELBv2Backend.delete_load_balancer
_PUT_PARAMETER: Callable[..., Moto] = SimpleSystemManagerBackend.put_parameter
_CREATE_TAGS: Callable[[Moto], ActionResult] = TagResponse.create_tags
_launching = threading.Lock()


def install() -> None:
    """Put the rules before moto's own methods. Parts that replace these methods later call ours."""
    InstanceResponse.run_instances = _run_instances
    InstanceResponse._validate_block_device_mapping = staticmethod(_judged_with_the_ami)
    InstanceBackend.run_instances = _launch
    ELBv2Backend.create_listener = _create_listener
    ELBv2Backend.modify_listener = _modify_listener
    ELBv2Backend.create_load_balancer = _create_balancer
    ELBv2Backend.delete_load_balancer = _delete_balancer
    SimpleSystemManagerBackend.put_parameter = _put_parameter
    TagResponse.create_tags = _create_tags


def _run_instances(handler: Moto) -> ActionResult:
    """RunInstances: the same ClientToken launches once, and is refused with other parameters or when its instances are gone."""
    token = handler._get_param("ClientToken")
    if not token:
        return _RUN_INSTANCES(handler)
    if len(token) > LONGEST_TOKEN or not token.isascii():
        raise EC2ClientError(
            "InvalidParameterValue", f"ClientToken is limited to {LONGEST_TOKEN} ASCII characters"
        )
    request = repr({key: value for key, value in handler._get_params().items() if key != "ClientToken"})
    # On the backend, so that moto's reset forgets them together with the instances.
    known: dict[str, tuple[str, Any]] = vars(handler.ec2_backend).setdefault("ingot_launch_tokens", {})
    with _launching:
        if token in known:
            return _launched_before(*known[token], request)
        answer = _RUN_INSTANCES(handler)
        known[token] = request, answer.result
        return answer


def _judged_with_the_ami(_mapping: Moto) -> None:
    """RunInstances: moto asks each mapping for a size or a snapshot; EC2 takes them from the AMI where it has the device."""


def _launch(backend: Moto, image_id: str | None, *rest: Moto, **named: Moto) -> Moto:
    """RunInstances, and launches of Auto Scaling: the AMI's devices, the template's and the request's are one list; one network."""
    data = template_data(backend, named)
    _refuse_two_networks(backend, data, named)
    image = backend.amis.get(image_id or data.get("ImageId"))
    if image is not None:
        named["block_device_mappings"] = mappings(image, data, named.get("block_device_mappings"))
    return _LAUNCH(backend, image_id, *rest, **named)


def _refuse_two_networks(backend: Moto, data: Mapping[str, Any], named: Mapping[str, Any]) -> None:
    """Raise EC2ClientError when a security group of the launch is of another VPC than its subnet."""
    alone = {"Groups": named.get("security_group_ids") or data.get("SecurityGroupIds")}
    for nic in named.get("nics") or data.get("NetworkInterfaces") or [alone]:
        subnet_id = nic.get("SubnetId") or named.get("subnet_id")
        subnet = backend.get_subnet(subnet_id) if subnet_id else None
        for given in nic.get("Groups") or []:
            group = backend.get_security_group_from_id(given) if isinstance(given, str) else given
            if subnet is not None and group is not None and group.vpc_id != subnet.vpc_id:
                raise EC2ClientError(
                    "InvalidParameter",
                    f"Security group {group.id} and subnet {subnet.id} belong to different networks.",
                )


def _launched_before(first: str, reservation: Moto, request: str) -> ActionResult:
    if first != request:
        raise EC2ClientError(
            "IdempotentParameterMismatch",
            "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).",
        )
    if any(instance.state in ("shutting-down", "terminated") for instance in reservation.instances):
        raise EC2ClientError(
            "IdempotentInstanceTerminated",
            "The instance that an earlier request with this client token launched has been terminated.",
        )
    return ActionResult(reservation)


def _create_listener(
    backend: Moto, load_balancer_arn: str, protocol: str, port: str, *rest: Moto, **named: Moto
) -> Moto:
    """CreateListener: a load balancer has one listener for a port."""
    _refuse_taken_port(backend.load_balancers.get(load_balancer_arn), port)
    return _CREATE_LISTENER(backend, load_balancer_arn, protocol, port, *rest, **named)


def _modify_listener(backend: Moto, arn: str, port: str | None = None, *rest: Moto, **named: Moto) -> Moto:
    """ModifyListener: it cannot move to another one's port."""
    for balancer in backend.load_balancers.values():
        if arn in balancer.listeners and port is not None:
            _refuse_taken_port(balancer, port, but=arn)
    return _MODIFY_LISTENER(backend, arn, port, *rest, **named)


def _refuse_taken_port(balancer: Moto, port: str, *, but: str = "") -> None:
    listeners = {} if balancer is None else balancer.listeners
    if any(str(other.port) == str(port) for arn, other in listeners.items() if arn != but):
        raise DuplicateListenerError()


def _create_tags(handler: Moto) -> ActionResult:
    """CreateTags: keys and values have a length, the prefix aws: is AWS's own, and what is tagged is there.

    moto looks for most other kinds of resources itself.
    """
    check_tags(handler._get_param("Tags", []))
    backend = handler.ec2_backend
    for resource_id in handler._get_param("Resources", []):
        kind = str(resource_id).rpartition("-")[0]
        if kind == "i":
            backend.get_instance(resource_id)  # it raises EC2's error
        elif kind == "eni":
            backend.get_network_interface(resource_id)
        elif kind in _TAGGED and resource_id not in _TAGGED[kind](backend):
            raise InvalidID(resource_id)
    return _CREATE_TAGS(handler)


_TAGGED: Mapping[str, Callable[[Moto], Collection[str]]] = {
    "nat": lambda backend: backend.nat_gateways,
    "eipalloc": lambda backend: {address.allocation_id for address in backend.describe_addresses()},
    "vpce": lambda backend: backend.vpc_end_points,
    "fl": lambda backend: backend.flow_logs,
    "acl": lambda backend: backend.network_acls,
}


def check_tags(tags: Iterable[Mapping[str, Any]]) -> None:
    """Raise EC2ClientError for a tag that is too long or has AWS's own prefix."""
    for tag in tags:
        key, value = str(tag.get("Key", "")), str(tag.get("Value", ""))
        if key.lower().startswith("aws:"):
            raise EC2ClientError(
                "InvalidParameterValue", "Tag keys starting with 'aws:' are reserved for internal use"
            )
        if len(key) > LONGEST_KEY or len(value) > LONGEST_VALUE:
            raise EC2ClientError(
                "InvalidParameterValue",
                f"Tag {key[:20]}… exceeds {LONGEST_KEY} characters of a key or {LONGEST_VALUE} of a value",
            )


def _create_balancer(backend: Moto, *rest: Moto, **named: Moto) -> Moto:
    """CreateLoadBalancer: a name has its form; an application load balancer stands in two zones at least."""
    given = inspect.signature(_CREATE_BALANCER).bind(backend, *rest, **named).arguments
    name = str(given.get("name") or "")
    if not BALANCER_NAME.fullmatch(name) or name.startswith("internal-"):
        raise ELBClientError(
            "ValidationError",
            f"The load balancer name '{name}' must have 1 to 32 letters, digits and hyphens, must not begin or end with a "
            "hyphen, and must not begin with 'internal-'",
        )
    if (given.get("loadbalancer_type") or "application") == "application":
        ids = [*(given.get("subnet_ids") or []), *(m["SubnetId"] for m in given.get("subnet_mappings") or [])]
        zones = {backend.ec2_backend.get_subnet(subnet_id).availability_zone for subnet_id in ids}
        if len(zones) == 1:
            raise ELBClientError(
                "ValidationError",
                "At least two subnets in two different Availability Zones must be specified",
            )
    return _CREATE_BALANCER(backend, *rest, **named)


def _delete_balancer(backend: Moto, arn: str) -> Moto:
    """DeleteLoadBalancer: not while deletion protection is on."""
    balancer = backend.load_balancers.get(arn)
    if balancer is not None and str(balancer.attrs.get("deletion_protection.enabled")).lower() == "true":
        raise ELBClientError(
            "OperationNotPermitted",
            f"Load balancer '{arn}' cannot be deleted because deletion protection is enabled",
        )
    return _DELETE_BALANCER(backend, arn)


def _put_parameter(backend: Moto, *rest: Moto, **named: Moto) -> Moto:
    """PutParameter: the value fits its AllowedPattern."""
    given = inspect.signature(_PUT_PARAMETER).bind(backend, *rest, **named).arguments
    pattern = given.get("allowed_pattern")
    if pattern and not re.search(pattern, str(given.get("value") or "")):
        raise JsonRESTError(
            "ParameterPatternMismatchException",
            f"Parameter value, cannot be validated against allowedPattern: {pattern}",
        )
    return _PUT_PARAMETER(backend, *rest, **named)
