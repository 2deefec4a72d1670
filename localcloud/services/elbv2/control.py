"""Puts the running balancer behind moto's load balancers, listeners and target groups."""

from __future__ import annotations

import itertools
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from aiohttp import web
from moto.ec2 import ec2_backends
from moto.elbv2 import elbv2_backends
from moto.elbv2.exceptions import ELBClientError, InvalidTargetError
from moto.elbv2.models import ELBv2Backend, FakeHealthStatus, FakeTargetGroup

from localcloud.core.context import CloudContext, Served
from localcloud.core.moto_types import (
    Ec2Records,
    Instance,
    ListenerRecord,
    LoadBalancer,
    LoadBalancingBackend,
    LoadBalancingRecords,
    Moto,
    SecurityGroup,
    TargetGroupRecord,
)
from localcloud.core.patching import Patches
from localcloud.services.elbv2.certificates import context_for
from localcloud.services.elbv2.connections import Connections
from localcloud.services.elbv2.fronts import BalancerLoop, Handler
from localcloud.services.elbv2.proxy import Listener
from localcloud.services.elbv2.security import may_reach, open_to_all
from localcloud.services.elbv2.targets import DESCRIPTIONS, CheckSettings, Target, TargetGroup
from localcloud.services.elbv2.validation.listener_rules import forwarded

ENDED = ("stopping", "stopped", "shutting-down", "terminated")


class Front(NamedTuple):
    """What serves a listener: a port of this machine, and the ARN of the certificate of one for HTTPS."""

    port: int
    certificate: str | None


# Whose listeners take a certificate.
ENCRYPTED = ("HTTPS", "TLS")
# Where Network Load Balancers listen, each on an address of its own: all of 127.0.0.0/8 is this machine.
NETWORK_ADDRESS = "127.77.{}.{}"


class Control:
    """The load balancers of one account and region."""

    def __init__(self, context: CloudContext) -> None:
        self._context = context
        self._elb: LoadBalancingRecords = elbv2_backends[context.account][context.region]
        self._ec2: Ec2Records = ec2_backends[context.account][context.region]
        # Load balancer -> what serves its listeners, in their order.
        self._fronts: dict[str, list[Front]] = {}
        # Network Load Balancer -> its address, and what its listeners' ports are served with.
        self._addresses: dict[str, str] = {}
        self._relays: dict[str, dict[int, str | None]] = {}
        self._numbers = itertools.count()
        self._groups: dict[str, TargetGroup] = {}
        self.loop = BalancerLoop(self.resolve, changed=context.hooks.changed, log=context.log)

    def install(self, patches: Patches) -> None:
        """Replace what moto's load balancers only write down."""
        _replace(patches, self)

    # -- data for the data plane

    def resolve(self, target_id: str, port: int, group: str) -> tuple[str, int] | None:
        """Return a target's address for load balancers of the group; None if security groups forbid it."""
        address = self._context.hooks.machine_address
        instance = self._ec2.get_instance_by_id(target_id)
        if instance is None or address is None:
            return None
        users = [b for b in self._elb.load_balancers.values() if group in self._used_by(b)]
        allowed = any(self._reaches(balancer, instance, port) for balancer in users)
        return address(target_id, port) if allowed else None

    def _reaches(self, balancer: LoadBalancer, instance: Instance, port: int) -> bool:
        if balancer.type == "network" and not balancer.security_groups:
            return open_to_all(instance, port)
        return may_reach(self._security(balancer.security_groups), balancer.subnets, instance, port)

    def _security(self, ids: list[str]) -> list[SecurityGroup]:
        return [
            known
            for known in (self._ec2.get_security_group_from_id(name) for name in ids)
            if known is not None
        ]

    def _used_by(self, balancer: LoadBalancer) -> set[str]:
        """Return the ARNs of the target groups that a load balancer's listeners forward to."""
        rules = [rule for listener in list(balancer.listeners.values()) for rule in listener.rules.values()]
        used: set[Any] = set()
        for action in [action for rule in rules for action in rule.actions]:
            used.add(action.data.get("TargetGroupArn"))
            used |= {
                g["TargetGroupArn"]
                for g in (action.data.get("ForwardConfig") or {}).get("TargetGroups") or []
            }
        return used

    def group_of(self, arn: str) -> TargetGroup | None:
        """Return the live target group with its settings as moto's record has them now."""
        record = self._elb.target_groups.get(arn)
        if record is None:
            return None
        group = self._groups.setdefault(arn, TargetGroup(arn, CheckSettings()))
        group.settings = settings_of(record)
        group.delay = float(record.attributes["deregistration_delay.timeout_seconds"])
        return group

    # -- load balancers

    def front(self, balancer: LoadBalancer) -> None:
        """Give each listener a port, with TLS where it is one for HTTPS.

        The first one's becomes the DNS name. After each change.
        """
        fronts = self._fronts.setdefault(balancer.arn, [])
        listeners = in_order(balancer)
        for place in range(max(1, len(listeners))):
            certificate = _certificate(listeners[place]) if place < len(listeners) else None
            if place == len(fronts):
                port = self.loop.listen(self._handler(balancer, place), tls=self._tls(certificate))
                fronts.append(Front(port, certificate))
                self._context.log(f"balancer: {balancer.name} listens on 127.0.0.1:{port}")
            elif fronts[place].certificate != certificate:
                port = fronts[place].port
                self.loop.replace(port, self._handler(balancer, place), tls=self._tls(certificate))
                fronts[place] = Front(port, certificate)
        balancer.dns_name = f"localhost:{fronts[0].port}"

    def listeners_changed(self, arn: str) -> None:
        """Open what a load balancer's listeners need now."""
        balancer = self._elb.load_balancers.get(arn)
        if balancer is not None and balancer.type == "application":
            self.front(balancer)
        elif balancer is not None and balancer.type == "network":
            self.take_connections(balancer)

    def take_connections(self, balancer: LoadBalancer) -> None:
        """Serve each listener of a Network Load Balancer on its own port of an address of this machine.

        The address is its DNS name. Raise ELBClientError where the machine does not give the port.
        """
        address = self._addresses.get(balancer.arn)
        if address is None:
            high, low = divmod(next(self._numbers), 254)
            address = self._addresses[balancer.arn] = NETWORK_ADDRESS.format(high % 256, low + 1)
        balancer.dns_name = address
        served = self._relays.setdefault(balancer.arn, {})
        wanted = {int(one.port): _certificate(one) for one in balancer.listeners.values()}
        for port in [port for port, certificate in served.items() if wanted.get(port, "") != certificate]:
            self.loop.end_relay((address, port))
            del served[port]
        for port in wanted.keys() - served.keys():
            connections = Connections(partial(self._group_at, balancer, port), self.loop.address)
            try:
                self.loop.relay((address, port), connections, tls=self._tls(wanted[port]))
            except OSError as error:
                message = f"The local cloud cannot listen on {address}:{port}: {error.strerror or error}"
                raise ELBClientError("OperationNotPermitted", message) from error
            served[port] = wanted[port]
            self._context.log(f"balancer: {balancer.name} listens on {address}:{port}")

    def _group_at(self, balancer: LoadBalancer, port: int) -> TargetGroup | None:
        """Return the target group of the listener on a port, if the load balancer lets anybody in there."""
        listener = next((one for one in balancer.listeners.values() if int(one.port) == port), None)
        if listener is None or (balancer.security_groups and not self._lets_in(balancer, port)):
            return None
        [default] = listener.rules.values()
        arns = forwarded(action.data for action in default.actions)
        return self.group_of(arns[0]) if arns else None

    def _tls(self, certificate: str | None) -> ssl.SSLContext | None:
        if certificate is None:
            return None
        return context_for(self._context.account, self._context.region, certificate)

    def check(self, protocol: str | None, certificate: str | None) -> None:
        """Raise ELBClientError where AWS refuses a listener for its certificate, or we cannot make it."""
        if protocol in ("UDP", "TCP_UDP"):
            message = f"The local cloud's Network Load Balancers take TCP and TLS, not {protocol}"
            raise ELBClientError("UnsupportedProtocol", message)
        if protocol is not None and protocol in ENCRYPTED:
            context_for(self._context.account, self._context.region, certificate, protocol)

    def _handler(self, balancer: LoadBalancer, place: int) -> Handler:
        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            listeners = in_order(balancer)
            if place >= len(listeners) or not self._lets_in(balancer, int(listeners[place].port)):
                return _refused(request)
            fronts = self._fronts.get(balancer.arn, [])
            reached = {
                int(listener.port): front.port for listener, front in zip(listeners, fronts, strict=False)
            }
            return await self._listener(balancer, listeners[place], reached).handle(request)

        return handle

    def _listener(self, balancer: LoadBalancer, record: ListenerRecord, reached: dict[int, int]) -> Listener:
        def served(group: str, status: int, from_target: bool, seconds: float) -> None:
            hook = self._context.hooks.served
            if hook is not None:
                hook(Served(balancer.arn, group, status, from_target, seconds))

        return Listener(
            int(record.port),
            lambda: list(record.rules.values()),
            self.group_of,
            self.loop.address,
            self.loop.session,
            str(record.protocol),
            reached,
            served,
        )

    def _lets_in(self, balancer: LoadBalancer, port: int) -> bool:
        """Tell whether a security group of the load balancer lets anybody in at the port."""
        rules = [rule for group in self._security(balancer.security_groups) for rule in group.ingress_rules]
        return any(
            rule.ip_range.get("CidrIp")
            and (rule.ip_protocol == "-1" or int(rule.from_port) <= port <= int(rule.to_port))
            for rule in rules
            if rule.ip_protocol in ("tcp", "-1")
        )

    def remove(self, arn: str) -> None:
        """Close the ports of a load balancer."""
        for front in self._fronts.pop(arn, []):
            self.loop.close(front.port)
        for port in self._relays.pop(arn, {}):
            self.loop.end_relay((self._addresses[arn], port))
        self._addresses.pop(arn, None)

    # -- targets

    def register(self, record: TargetGroupRecord, target_id: str) -> None:
        """Start to check a target that moto has registered."""
        group = self.group_of(record.arn)
        if group is not None:
            self.loop.register(group, target_id, int(record.targets[target_id]["Port"]))

    def deregister(self, record: TargetGroupRecord, target_id: str) -> None:
        """Drain a target."""
        group = self.group_of(record.arn)
        if group is not None:
            self.loop.deregister(group, target_id)

    def health(self, record: TargetGroupRecord, asked: dict[str, Any]) -> object:
        """Return a target's health as DescribeTargetHealth shows it."""
        group = self.group_of(record.arn) or TargetGroup(record.arn, CheckSettings())
        target = group.targets.get(asked["Id"]) or group.draining.get(asked["Id"])
        port = str(target.port if target else asked.get("Port", record.port))
        state, reason, description = self._state(record, target)
        check_port = port if record.health_check_port in (None, "traffic-port") else record.health_check_port
        return FakeHealthStatus(asked["Id"], port, check_port, state, reason, description)

    def _state(self, record: TargetGroupRecord, target: Target | None) -> tuple[str, str | None, str | None]:
        if target is None:
            return "unused", "Target.NotRegistered", DESCRIPTIONS["Target.NotRegistered"]
        if target.state == "draining":
            return target.state, target.reason, target.description
        if not any(
            record.arn in self._used_by(balancer) for balancer in list(self._elb.load_balancers.values())
        ):
            return "unused", "Target.NotInUse", DESCRIPTIONS["Target.NotInUse"]
        instance = self._ec2.get_instance_by_id(target.id)
        if instance is not None and instance.state in ENDED:
            return (
                "unused",
                "Target.InvalidState",
                DESCRIPTIONS["Target.InvalidState"].format(detail=instance.state),
            )
        return target.state, target.reason, target.description

    def known_targets(self, record: TargetGroupRecord) -> list[dict[str, Any]]:
        """Return all targets, those that drain included."""
        group = self.group_of(record.arn)
        draining = list(group.draining.values()) if group else []
        return [*record.targets.values(), *({"Id": target.id, "Port": target.port} for target in draining)]


def in_order(balancer: LoadBalancer) -> list[ListenerRecord]:
    """Return a load balancer's listeners, those for HTTPS first.

    The load balancer's name leads to the first one.
    """
    return sorted(balancer.listeners.values(), key=lambda listener: listener.protocol != "HTTPS")


def _certificate(listener: ListenerRecord) -> str | None:
    return str(listener.certificate) if listener.protocol in ENCRYPTED else None


def settings_of(record: TargetGroupRecord) -> CheckSettings:
    """Return the health check of one of moto's target groups, with AWS's defaults."""
    return CheckSettings(
        path=record.health_check_path or "/",
        protocol=str(record.health_check_protocol or "HTTP"),
        port=str(record.health_check_port or "traffic-port"),
        interval=float(record.health_check_interval_seconds),
        timeout=float(record.health_check_timeout_seconds),
        healthy=int(record.healthy_threshold_count),
        unhealthy=int(record.unhealthy_threshold_count),
        # Where a connection suffices, moto has none.
        matcher=str((getattr(record, "matcher", None) or {}).get("HttpCode") or "200"),
        enabled=bool(record.health_check_enabled),
    )


def _refused(request: web.BaseRequest) -> web.Response:
    """Break the connection: no listener there, or a security group that lets nobody in."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)


def _replace(patches: Patches, control: Control) -> None:
    patches.replace(
        ELBv2Backend, "create_load_balancer", lambda original: _creating_balancer(original, control)
    )
    patches.replace(ELBv2Backend, "create_listener", lambda original: _creating_listener(original, control))
    patches.replace(ELBv2Backend, "modify_listener", lambda original: _modifying_listener(original, control))
    patches.replace(ELBv2Backend, "delete_listener", lambda original: _deleting_listener(original, control))
    patches.replace(
        ELBv2Backend, "delete_load_balancer", lambda original: _deleting_balancer(original, control)
    )
    patches.replace(FakeTargetGroup, "register", lambda original: _registering(original, control))
    patches.replace(FakeTargetGroup, "deregister", lambda _: _deregistering(control))
    patches.replace(FakeTargetGroup, "deregister_terminated_instances", lambda _: _dropping(control))
    patches.replace(
        FakeTargetGroup, "health_for", lambda _: lambda record, target, _ec2: control.health(record, target)
    )
    patches.replace(ELBv2Backend, "describe_target_health", lambda original: _describing(original, control))


def _creating_balancer(
    original: Callable[..., LoadBalancer], control: Control
) -> Callable[..., LoadBalancer]:
    def create(backend: LoadBalancingBackend, *rest: object, **named: object) -> LoadBalancer:
        balancer = original(backend, *rest, **named)
        if balancer.type == "network":
            _rename(backend, balancer)
        control.listeners_changed(balancer.arn)
        return balancer

    return create


def _rename(backend: LoadBalancingBackend, balancer: LoadBalancer) -> None:
    """Give a Network Load Balancer the ARN of its kind: moto takes each for an Application Load Balancer."""
    old, balancer.arn = balancer.arn, balancer.arn.replace(":loadbalancer/app/", ":loadbalancer/net/")
    backend.load_balancers[balancer.arn] = backend.load_balancers.pop(old)
    tags = backend.tagging_service.list_tags_for_resource(old)["Tags"]
    backend.tagging_service.delete_all_tags_for_resource(old)
    backend.tagging_service.tag_resource(balancer.arn, tags)


def _creating_listener(
    original: Callable[..., ListenerRecord], control: Control
) -> Callable[..., ListenerRecord]:
    def create(
        backend: LoadBalancingBackend,
        *,
        load_balancer_arn: str,
        protocol: str,
        certificate: str | None,
        **rest: object,
    ) -> ListenerRecord:
        control.check(protocol, certificate)
        listener = original(
            backend,
            load_balancer_arn=load_balancer_arn,
            protocol=protocol,
            certificate=certificate,
            **rest,
        )
        try:
            control.listeners_changed(load_balancer_arn)
        except ELBClientError:
            backend.load_balancers[load_balancer_arn].listeners.pop(listener.arn)
            raise
        return listener

    return create


def _modifying_listener(
    original: Callable[..., ListenerRecord], control: Control
) -> Callable[..., ListenerRecord]:
    def modify(backend: LoadBalancingBackend, arn: str, *changes: Moto) -> ListenerRecord:
        _port, protocol, _ssl_policy, certificates, _actions = changes
        known = next((b.listeners[arn] for b in backend.load_balancers.values() if arn in b.listeners), None)
        if known is not None:
            certificate = certificates[0]["CertificateArn"] if certificates else known.certificate
            control.check(protocol or known.protocol, certificate)
        listener = original(backend, arn, *changes)
        control.listeners_changed(listener.load_balancer_arn)
        return listener

    return modify


def _deleting_listener(
    original: Callable[..., ListenerRecord], control: Control
) -> Callable[..., ListenerRecord]:
    def delete(backend: LoadBalancingBackend, listener_arn: str) -> ListenerRecord:
        listener = original(backend, listener_arn)
        control.listeners_changed(listener.load_balancer_arn)
        return listener

    return delete


def _deleting_balancer(original: Callable[..., object], control: Control) -> Callable[..., None]:
    def delete(backend: LoadBalancingBackend, arn: str) -> None:
        original(backend, arn)
        control.remove(arn)

    return delete


def _registering(original: Callable[..., object], control: Control) -> Callable[..., None]:
    def register(record: TargetGroupRecord, targets: list[dict[str, Any]]) -> None:
        original(record, targets)
        for target in targets:
            control.register(record, target["Id"])

    return register


def _deregistering(control: Control) -> Callable[..., None]:
    def deregister(record: TargetGroupRecord, targets: list[dict[str, Any]]) -> None:
        for target in targets:
            if record.targets.pop(target["Id"], None) is None:
                raise InvalidTargetError()
            control.deregister(record, target["Id"])

    return deregister


def _dropping(control: Control) -> Callable[..., None]:
    def drop(record: TargetGroupRecord, instance_ids: list[str]) -> None:
        for target_id in set(instance_ids) & set(record.targets):
            del record.targets[target_id]
            control.deregister(record, target_id)

    return drop


def _describing(original: Callable[..., object], control: Control) -> Callable[..., object]:
    def describe(
        backend: LoadBalancingBackend, target_group_arn: str, targets: list[dict[str, Any]]
    ) -> object:
        record = backend.target_groups.get(target_group_arn)
        return original(
            backend, target_group_arn, targets or (control.known_targets(record) if record else [])
        )

    return describe
