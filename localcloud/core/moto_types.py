"""What the local cloud uses of moto's objects.

The type checker does not follow moto: its classes are patched at run time, and reading them all would take
longer than checking the rest. The protocols name what is used, so that a misspelled attribute is an error:

- ``ApiHandler`` and its services' kinds: what answers a request, the first argument of a replaced operation.
- ``Backend`` and its services' kinds: where a region's records are, the first argument of a replaced method.
- The other protocols: the records themselves.
- ``ActionResult`` of moto's: what an operation answers with.
- ``object``: what is passed on and not looked at.
- ``Moto``: what no protocol can describe: the arguments of a replaced method, by moto's names, where some are
  looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, MutableMapping, Sequence
from datetime import datetime
from typing import Any, Protocol, overload

Moto = Any
Value = Any  # a value from a template or of moto's records: text, number, list or mapping
Device = dict[str, Any]  # a block device mapping, in the words of EC2's API


class ApiHandler(Protocol):
    """What answers one request of an API (moto's ``BaseResponse``)."""

    current_account: str
    region: str

    def _get_action(self) -> str:
        """Return the operation's name."""

    def _get_params(self) -> dict[str, Any]:
        """Return all parameters, in the words of the API."""

    def _get_param(self, name: str, default: object = None) -> Any:  # noqa: ANN401 - by the API
        """Return a parameter."""

    @overload
    def _get_int_param(self, name: str, default: int) -> int: ...
    @overload
    def _get_int_param(self, name: str) -> int | None: ...

    @overload
    def _get_bool_param(self, name: str, default: bool) -> bool: ...
    @overload
    def _get_bool_param(self, name: str) -> bool | None: ...

    def get_access_key(self) -> str:
        """Return the access key that signed the request."""


class Ec2Handler(ApiHandler, Protocol):
    """What answers a request of EC2. ``error_on_dryrun`` raises when the request has DryRun."""

    error_on_dryrun: Callable[[], None]

    @property
    def ec2_backend(self) -> Ec2Backend:
        """Return the region's backend."""

    def _filters_from_querystring(self) -> dict[str, Any]:
        """Return the request's filters."""


class S3Handler(Protocol):
    """What answers a request of S3, by its headers and body."""

    headers: Mapping[str, str]
    body: bytes | None


class AutoScalingHandler(ApiHandler, Protocol):
    """What answers a request of Auto Scaling."""

    @property
    def autoscaling_backend(self) -> AutoScalingRecords:
        """Return the region's backend."""


class Backend(Protocol):
    """What holds the records of one service in one region of an account (moto's ``BaseBackend``)."""

    account_id: str
    region_name: str

    @property
    def partition(self) -> str:
        """Return ``aws``, or another part of AWS."""


class Named(Protocol):
    """Anything that EC2 gave an id."""

    id: str


class State(Protocol):
    """An instance's state: name and code (EC2 API reference, InstanceState)."""

    name: str
    code: int


class Subnet(Named, Protocol):
    """A subnet."""

    vpc_id: str
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


class Tagged(Protocol):
    """Anything that EC2 tags."""

    def get_tags(self) -> Sequence[Mapping[str, str]]:
        """Return the tags as ``key`` and ``value``."""


class Vpc(Named, Protocol):
    """A VPC."""

    cidr_block: str


class Zone(Protocol):
    """An Availability Zone."""

    name: str
    zone_id: str


class Volume(Named, Protocol):
    """What a snapshot was taken of. Size in GiB."""

    size: int


class Attachment(Protocol):
    """That a volume is attached."""

    instance: Instance


class VolumeRecord(Volume, Protocol):
    """A volume. Size in GiB."""

    volume_type: str | None
    iops: int | None
    throughput: int | None
    snapshot_id: str | None
    encrypted: bool
    attachment: Attachment | None


class AttachedVolume(Protocol):
    """A volume as an instance has it. Size in GiB."""

    volume_id: str
    size: int
    delete_on_termination: bool


class Snapshot(Named, Tagged, Protocol):
    """A snapshot. A read-only view: moto and the local cloud each have a class for it."""

    status: str
    encrypted: bool
    volume: Volume


class Image(Named, Tagged, Protocol):
    """An AMI. ``ena_support`` and ``imds_support`` are only in those that the local cloud registered."""

    name: str
    description: str
    owner_id: str
    architecture: str
    virtualization_type: str
    boot_mode: str | None
    root_device_name: str
    root_device_type: str
    launch_permissions: Sequence[Mapping[str, str]]
    deprecation_time: str | None
    deregistration_protection: str

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


class Instance(Named, Tagged, Protocol):
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
    disable_api_termination: bool
    ec2_backend: Ec2Backend

    @property
    def state(self) -> str:
        """Return the state's name."""

    def terminate(self) -> Any:  # noqa: ANN401 - the state before
        """Terminate it; returns at once."""


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


class LaunchTemplate(Named, Tagged, Protocol):
    """A launch template."""

    name: str
    create_time: Any
    default_version_number: int
    latest_version_number: int
    versions: Sequence[LaunchTemplateVersion]

    def get_version(self, number: Any) -> LaunchTemplateVersion:  # noqa: ANN401 - int or "$Latest"
        """Return a version; raises EC2's error."""

    def is_default(self, version: LaunchTemplateVersion) -> bool:
        """Say whether launches that name no version use this one."""


class InternetGateway(Named, Protocol):
    """An Internet gateway, and the VPC that it is attached to."""

    vpc: Named | None


class InterfaceRecord(Named, Protocol):
    """A network interface as its region's backend has it."""

    subnet: Subnet


class NatGateway(Named, Protocol):
    """A NAT gateway."""

    subnet_id: str
    state: str


class VpcEndpoint(Named, Protocol):
    """A VPC endpoint. One for a gateway has no subnets."""

    vpc_id: str
    subnet_ids: Sequence[str] | None
    state: str


class Address(Protocol):
    """An Elastic IP address."""

    allocation_id: str


class InstanceProfile(Protocol):
    """An instance profile of IAM."""

    id: str
    arn: str
    roles: Sequence[Any]


class ProfileAssociation(Protocol):
    """That an instance has an instance profile."""

    iam_instance_profile: InstanceProfile


class InstanceRecords(Protocol):
    """The instances of moto's EC2 backend. ``get_`` raises EC2's error for an id that names nothing."""

    key_pairs: Collection[str]
    reservations: Mapping[str, Reservation]
    iam_instance_profile_associations: Mapping[str, ProfileAssociation]

    def get_instance(self, instance_id: str) -> Instance:
        """Return an instance."""

    def get_multi_instances_by_id(self, instance_ids: Sequence[str]) -> Sequence[Instance]:
        """Return instances."""

    def associate_iam_instance_profile(
        self, instance_id: str, iam_instance_profile_name: str | None, iam_instance_profile_arn: str | None
    ) -> object:
        """Give an instance a profile."""


class StorageRecords(Protocol):
    """The volumes, snapshots and AMIs of moto's EC2 backend, by id."""

    amis: MutableMapping[str, Image]
    deleted_amis: Collection[str]
    snapshots: Mapping[str, Snapshot]
    volumes: Mapping[str, VolumeRecord]

    def get_volume(self, volume_id: str) -> VolumeRecord:
        """Return a volume; raises EC2's error."""

    def delete_snapshot(self, snapshot_id: str) -> object:
        """Delete a snapshot; raises EC2's error."""

    def describe_images(self, *, ami_ids: Sequence[str]) -> Sequence[Image]:
        """Return AMIs; raises EC2's error."""

    def deregister_image(self, ami_id: str) -> None:
        """Deregister an AMI; raises EC2's error."""


class NetworkRecords(Protocol):
    """The networks of moto's EC2 backend. ``groups`` is by VPC, all else by id."""

    enis: Mapping[str, InterfaceRecord]
    nat_gateways: Mapping[str, NatGateway]
    vpc_end_points: Mapping[str, VpcEndpoint]
    internet_gateways: Mapping[str, InternetGateway]
    groups: Mapping[str, Mapping[str, SecurityGroup]]
    network_acls: Collection[str]
    flow_logs: Collection[str]

    def get_subnet(self, subnet_id: str) -> Subnet:
        """Return a subnet; raises EC2's error."""

    def get_vpc(self, vpc_id: str) -> Vpc | None:
        """Return a VPC."""

    def describe_availability_zones(self) -> Sequence[Zone]:
        """Return the region's Availability Zones."""

    def get_default_subnets(self) -> Mapping[str, Subnet]:
        """Return the default VPC's subnets, by zone."""

    def get_network_interface(self, eni_id: str) -> object:
        """Return a network interface; raises EC2's error."""

    def describe_addresses(self) -> Sequence[Address]:
        """Return the Elastic IP addresses."""


class TemplateRecords(Protocol):
    """The launch templates of moto's EC2 backend. ``get_`` raises EC2's error."""

    def get_launch_template(self, template_id: str) -> LaunchTemplate:
        """Return a template by its id."""

    def get_launch_template_by_name(self, name: str) -> LaunchTemplate:
        """Return a template by its name."""

    def _get_template_from_args(self, named: Mapping[str, Any]) -> LaunchTemplateVersion:
        """Return the version that a launch names."""

    def describe_launch_templates(
        self, *, template_names: Sequence[str], template_ids: Sequence[str], filters: Mapping[str, Any]
    ) -> list[LaunchTemplate]:
        """Return templates."""

    def describe_launch_template_versions(
        self,
        *,
        template_name: str | None,
        template_id: str | None,
        versions: Sequence[str],
        min_version: int | None,
        max_version: int | None,
        max_results: int,
    ) -> list[tuple[LaunchTemplate, LaunchTemplateVersion]]:
        """Return versions, each with its template."""


class RuleAction(Protocol):
    """What a load balancer's rule does, in the words of the API."""

    data: Mapping[str, Any]


class ListenerRule(Protocol):
    """A rule of a listener. The priority is a number, or ``default``."""

    arn: str
    listener_arn: str
    priority: int | str
    actions: Sequence[RuleAction]


class ListenerRecord(Protocol):
    """A load balancer's listener."""

    arn: str
    load_balancer_arn: str
    protocol: str
    port: Any
    certificate: str | None
    rules: Mapping[str, ListenerRule]


class LoadBalancer(Protocol):
    """A load balancer."""

    arn: str
    name: str
    type: str
    dns_name: str
    attrs: Mapping[str, Any]
    security_groups: list[str]
    subnets: Sequence[Subnet]
    listeners: MutableMapping[str, ListenerRecord]


class TargetGroupRecord(Protocol):
    """A target group."""

    arn: str
    vpc_id: str
    target_type: str | None
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


class Ec2Backend(
    Backend, Ec2Records, InstanceRecords, StorageRecords, NetworkRecords, TemplateRecords, Protocol
):
    """Moto's EC2 backend."""


class LoadBalancingRecords(Protocol):
    """What moto's ELBv2 backend holds, by ARN."""

    load_balancers: MutableMapping[str, LoadBalancer]
    target_groups: Mapping[str, TargetGroupRecord]


class Tagging(Protocol):
    """Moto's tags of one service, by ARN."""

    def list_tags_for_resource(self, arn: str) -> Mapping[str, list[dict[str, str]]]:
        """Return the tags of a resource, under ``Tags``."""

    def delete_all_tags_for_resource(self, arn: str) -> None:
        """Remove the tags of a resource."""

    def tag_resource(self, arn: str, tags: list[dict[str, str]]) -> None:
        """Tag a resource."""


class LoadBalancingBackend(Backend, LoadBalancingRecords, Protocol):
    """Moto's ELBv2 backend."""

    tagging_service: Tagging

    @property
    def ec2_backend(self) -> Ec2Backend:
        """Return EC2's backend of the same region."""


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


class AutoScalingRecords(Protocol):
    """What moto's Auto Scaling backend holds, by name."""

    autoscaling_groups: MutableMapping[str, AutoScalingGroup]


class PolicyVersion(Protocol):
    """A version of a managed policy."""

    policy_arn: str


class ManagedPolicy(Protocol):
    """A managed policy of IAM. The ARN is of the account and the partition."""

    account_id: str
    partition: str
    tags: dict[str, Any]
    versions: Sequence[PolicyVersion]

    @property
    def arn(self) -> str:
        """Return the ARN."""


class Dimension(Protocol):
    """A dimension of a metric."""

    name: str
    value: str


class Datum(Protocol):
    """What was measured: a ``value``, or a ``sum``, ``min``, ``max`` and ``sample_count`` of several."""

    namespace: str
    name: str
    timestamp: Any
    dimensions: Sequence[Dimension]


class AlarmMetric(Protocol):
    """The metric that an alarm is on. Period in seconds."""

    namespace: str
    metric_name: str
    dimensions: Sequence[Dimension]
    period: Any
    statistic: str | None
    extended_statistic: str | None
    evaluate_low_sample_count_percentile: str | None


class Metric(Protocol):
    """Which metric a query asks for."""

    namespace: str
    metric_name: str
    dimensions: Sequence[Dimension]


class MetricStat(Protocol):
    """A metric and its statistic. Period in seconds."""

    metric: Metric
    period: Any
    stat: str


class MetricQuery(Protocol):
    """One query of an alarm: for a metric, or an expression on others."""

    id: str
    expression: str | None
    metric_stat: MetricStat


class MetricAlarm(AlarmMetric, Protocol):
    """An alarm. A composite one has a rule, any other a metric or queries."""

    name: str
    rule: str | None
    alarm_rule: str | None
    state_value: str
    state_reason: str
    history: Any
    evaluation_periods: Any
    datapoints_to_alarm: Any
    treat_missing_data: str | None
    comparison_operator: str
    threshold: Any
    metric_data_queries: Sequence[MetricQuery]

    def update_state(self, reason: str, reason_data: str, state_value: str) -> None:
        """Change the state."""


class CloudWatchRecords(Protocol):
    """What moto's CloudWatch backend holds: alarms by name, and all that was measured."""

    alarms: Mapping[str, MetricAlarm]
    metric_data: list[Datum]


class BucketRecord(Protocol):
    """A bucket. ``keys`` are its objects."""

    name: str
    region_name: str
    policy: bytes | None
    keys: Mapping[str, Any]
