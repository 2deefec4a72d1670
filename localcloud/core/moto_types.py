"""What the local cloud uses of moto's objects, which have no types of their own.

``Moto`` stands for what these protocols do not describe: a backend, a response handler, whatever a replaced
method passes on.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, MutableMapping, Sequence
from datetime import datetime
from typing import Any, Protocol

Moto = Any
Value = Any  # a value from a template or of moto's records: text, number, list or mapping
Device = dict[str, Any]  # a block device mapping, in the words of EC2's API


class Named(Protocol):
    """Anything that EC2 gave an id."""

    id: str


class State(Protocol):
    """An instance's state: name and code (EC2 API reference, InstanceState)."""

    name: str
    code: int


class Subnet(Named, Protocol):
    """A subnet."""

    cidr_block: str
    availability_zone: str


class SecurityRule(Protocol):
    """One rule of a security group. Ports are None for a rule of all protocols ("-1")."""

    ip_protocol: str
    from_port: Any
    to_port: Any
    ip_range: Mapping[str, str]
    source_group: Mapping[str, str]


class SecurityGroup(Named, Protocol):
    """A security group."""

    name: str
    vpc_id: str
    ingress_rules: Sequence[SecurityRule]
    egress_rules: Sequence[SecurityRule]


class NetworkInterface(Named, Protocol):
    """A network interface."""

    mac_address: str
    delete_on_termination: bool
    group_set: Collection[SecurityGroup]

    def start(self) -> None:
        """Give it its public address."""

    def stop(self) -> None:
        """Take its public address."""


class Placement(Protocol):
    """Where an instance runs."""

    zone: str


class Volume(Named, Protocol):
    """What a snapshot was taken of. Size in GiB."""

    size: int


class AttachedVolume(Protocol):
    """A volume as an instance has it. Size in GiB."""

    volume_id: str
    size: int


class Snapshot(Named, Protocol):
    """A snapshot. A read-only view: moto and the local cloud each have a class for it."""

    status: str
    encrypted: bool
    volume: Volume


class Image(Named, Protocol):
    """An AMI. ``ena_support`` and ``imds_support`` are only in those that the local cloud registered."""

    name: str
    owner_id: str
    architecture: str
    virtualization_type: str
    boot_mode: str | None
    root_device_name: str
    root_device_type: str

    @property
    def state(self) -> str:
        """Return ``pending``, ``available`` or ``disabled``."""

    @property
    def block_device_mappings(self) -> Sequence[Device]:
        """Return its devices."""


class MetadataOptions(Protocol):
    """Whether and how an instance's metadata service answers."""

    http_endpoint: str
    http_tokens: str
    instance_metadata_tags: str


class Instance(Named, Protocol):
    """An instance."""

    _state: State
    state_reason: Any
    image_id: str
    instance_type: str
    instance_initiated_shutdown_behavior: str
    private_ip: str
    private_dns_name: str
    subnet_id: str
    vpc_id: str
    owner_id: str
    region_name: str
    architecture: str
    root_device_name: str
    root_device_type: str
    lifecycle: str | None
    ami_launch_index: int
    launch_time: datetime
    user_data: Any
    placement: Placement
    metadata_options: MetadataOptions
    nics: Mapping[int, NetworkInterface]
    security_groups: Sequence[SecurityGroup]
    block_device_mapping: Mapping[str, AttachedVolume]
    autoscaling_group: AutoScalingGroup
    ec2_backend: Moto

    @property
    def state(self) -> str:
        """Return the state's name."""

    def terminate(self) -> Any:  # noqa: ANN401 - the state before
        """Terminate it; returns at once."""

    def get_tags(self) -> Sequence[Mapping[str, str]]:
        """Return the tags as ``key`` and ``value``."""


class Reservation(Named, Protocol):
    """The instances of one launch."""

    instances: Sequence[Instance]


class LaunchTemplateVersion(Protocol):
    """One version of a launch template."""

    number: int
    data: dict[str, Any]
    description: str
    create_time: Any
    ingot_deleted: bool


class LaunchTemplate(Named, Protocol):
    """A launch template."""

    name: str
    versions: Sequence[LaunchTemplateVersion]

    def get_version(self, number: Any) -> LaunchTemplateVersion:  # noqa: ANN401 - int or "$Latest"
        """Return a version; raises EC2's error."""

    def is_default(self, version: LaunchTemplateVersion) -> bool:
        """Say whether launches that name no version use this one."""


class ListenerRecord(Protocol):
    """A load balancer's listener."""

    arn: str
    load_balancer_arn: str
    protocol: str
    port: Any
    certificate: str | None
    rules: Mapping[str, Any]


class LoadBalancer(Protocol):
    """A load balancer."""

    arn: str
    name: str
    type: str
    dns_name: str
    attrs: Mapping[str, Any]
    security_groups: list[str]
    subnets: Sequence[Subnet]
    listeners: Mapping[str, ListenerRecord]


class TargetGroupRecord(Protocol):
    """A target group."""

    arn: str
    port: Any
    targets: MutableMapping[str, dict[str, Any]]
    attributes: Mapping[str, Any]
    matcher: Mapping[str, Any] | None
    health_check_enabled: bool
    health_check_interval_seconds: Any
    health_check_path: str | None
    health_check_port: str | None
    health_check_protocol: str | None
    health_check_timeout_seconds: Any
    healthy_threshold_count: Any
    unhealthy_threshold_count: Any

    def register(self, targets: list[dict[str, Any]]) -> None:
        """Add targets, in the words of RegisterTargets."""

    def deregister(self, targets: list[dict[str, Any]]) -> None:
        """Remove targets, in the words of DeregisterTargets."""

    def health_for(self, target: dict[str, Any], ec2: Ec2Records) -> Any:  # noqa: ANN401 - moto's record
        """Return a target's health, with its ``status``."""


class Ec2Records(Protocol):
    """What load balancers look up in moto's EC2 backend."""

    def get_instance_by_id(self, instance_id: str) -> Instance | None:
        """Return an instance, also one that has ended."""

    def get_security_group_from_id(self, group_id: str) -> SecurityGroup | None:
        """Return a security group."""


class LoadBalancingRecords(Protocol):
    """What moto's ELBv2 backend holds, by ARN."""

    load_balancers: Mapping[str, LoadBalancer]
    target_groups: Mapping[str, TargetGroupRecord]


class AutoScalingGroup(Protocol):
    """An Auto Scaling group."""

    name: str
    min_size: int | None
    max_size: int | None
    desired_capacity: int | None
    health_check_type: str
    health_check_grace_period: Any
    launch_template_version: Any
    ec2_launch_template: LaunchTemplate | None
    target_group_arns: Sequence[str]
    instance_states: list[Any]
    suspended_processes: Sequence[Mapping[str, str]]
    vpc_zone_identifier: str | None
    new_instances_protected_from_scale_in: bool

    def get_propagated_tags(self) -> Mapping[str, str]:
        """Return the tags that its instances get."""

    def _set_launch_configuration(
        self, name: str | None, template: Mapping[str, str] | None, policy: object
    ) -> None:
        """Launch from another template from now on."""
