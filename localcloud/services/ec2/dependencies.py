"""What EC2 keeps because something still uses it, and what goes with its instance.

Source: EC2 API reference, DeleteSubnet, DeleteVpc, DetachInternetGateway and "Error codes"
(DependencyViolation, InvalidSnapshot.NotFound); EC2 user guide, "Network interface
basics" (DeleteOnTermination).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import EC2Backend
from moto.elbv2.models import elbv2_backends

from localcloud.core.moto_types import Ec2Backend
from localcloud.core.patching import Patches


def install(patches: Patches) -> None:
    """Put the checks before moto's own methods."""
    patches.replace(EC2Backend, "delete_subnet", _deleting_subnet)
    patches.replace(EC2Backend, "delete_vpc", _deleting_vpc)
    patches.replace(EC2Backend, "describe_snapshots", _naming_snapshots)
    patches.replace(EC2Backend, "get_snapshot", _naming_snapshot)


def _deleting_subnet(original: Callable[..., object]) -> Callable[..., object]:
    def delete(backend: Ec2Backend, subnet_id: str) -> object:
        """DeleteSubnet: nothing may be left in it."""
        if next(_users(backend, subnet_id), None) is not None:
            raise EC2ClientError(
                "DependencyViolation", f"The subnet '{subnet_id}' has dependencies and cannot be deleted."
            )
        return original(backend, subnet_id)

    return delete


def _users(backend: Ec2Backend, subnet_id: str) -> Iterator[str]:
    """Yield what is in a subnet: network interfaces, also those of load balancers, gateways and endpoints."""
    for interface in backend.enis.values():
        if interface.subnet.id == subnet_id:
            yield interface.id
    for gateway in backend.nat_gateways.values():
        if gateway.subnet_id == subnet_id and gateway.state != "deleted":
            yield gateway.id
    for endpoint in backend.vpc_end_points.values():
        if subnet_id in (endpoint.subnet_ids or []) and endpoint.state != "deleted":
            yield endpoint.id
    for balancer in elbv2_backends[backend.account_id][backend.region_name].load_balancers.values():
        if any(subnet.id == subnet_id for subnet in balancer.subnets):
            yield balancer.arn


def _deleting_vpc(original: Callable[..., object]) -> Callable[..., object]:
    def delete(backend: Ec2Backend, vpc_id: str) -> object:
        """DeleteVpc: no gateway, endpoint or group of one's own may be left."""
        gateways = [g.id for g in backend.internet_gateways.values() if g.vpc and g.vpc.id == vpc_id]
        groups = [group.id for group in backend.groups.get(vpc_id, {}).values() if group.name != "default"]
        endpoints = [
            e.id for e in backend.vpc_end_points.values() if e.vpc_id == vpc_id and e.state != "deleted"
        ]
        if gateways or groups or endpoints:
            raise EC2ClientError(
                "DependencyViolation", f"The vpc '{vpc_id}' has dependencies and cannot be deleted."
            )
        return original(backend, vpc_id)

    return delete


def _unknown(snapshot_id: str) -> EC2ClientError:
    return EC2ClientError("InvalidSnapshot.NotFound", f"The snapshot '{snapshot_id}' does not exist.")


def _naming_snapshots(original: Callable[..., object]) -> Callable[..., object]:
    def describe(
        backend: Ec2Backend, snapshot_ids: list[str] | None = None, filters: object = None
    ) -> object:
        """DescribeSnapshots: moto says nothing about a snapshot that is not there."""
        for snapshot_id in snapshot_ids or []:
            if snapshot_id not in backend.snapshots:
                raise _unknown(snapshot_id)
        return original(backend, snapshot_ids, filters)

    return describe


def _naming_snapshot(original: Callable[..., object]) -> Callable[..., object]:
    def get(backend: Ec2Backend, snapshot_id: str) -> object:
        if snapshot_id not in backend.snapshots:
            raise _unknown(snapshot_id)
        return original(backend, snapshot_id)

    return get
