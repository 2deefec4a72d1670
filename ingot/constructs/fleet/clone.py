"""A single clone: for what must not be a group, such as a scheduler that may run once only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jsii
from aws_cdk import Tags
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct

from ingot.constructs.audit import departs
from ingot.constructs.fleet.configuration import Configuration, Parameter, Secret, user_data_of
from ingot.constructs.fleet.network import service_endpoints, subnets_for_clones
from ingot.constructs.fleet.role import clone_role, fitting_role
from ingot.constructs.fleet.session_manager import SERVICES, allow_sessions
from ingot.constructs.fleet.volumes import Volume, data_volumes, problem_of_store_root, root_volumes
from ingot.constructs.image.golden_image import GoldenImage
from ingot.constructs.machines import closed_group
from ingot.errors import InputError


@jsii.implements(iam.IGrantable, ec2.IConnectable)
class Clone(Construct):
    """One instance of a golden image, without a load balancer and without a group that would replace it.

    A new image, or another configuration, replaces the instance: CloudFormation starts the new one before it
    ends the old one, so for a moment there are two. Nothing replaces one that has failed; EC2's automatic
    recovery restarts it where its host fails.

    :param image: what it is a clone of
    :param vpc: where it is
    :param subnets: where in the VPC. Default: with ``egress`` its private subnets, else its isolated ones,
        else its private ones; never its public ones, unless they are named here
    :param egress: whether it may reach the Internet
    :param make_endpoints: whether to make the interface endpoints that ``parameters``, ``secrets`` and
        ``session_manager`` need. Default: no, the VPC has them or a way out
    :param instance_type: Nitro, of the recipe's architecture. Default: t3.small, or t4g.small for arm64
    :param role, security_groups, environment, parameters, secrets, user_data, session_manager,
        detailed_monitoring, volume_initialization_rate, volumes: as of a :class:`CloneFleet`
    :param termination_protection: whether EC2 refuses to terminate it. Default: no
    :raises InputError: as a :class:`CloneFleet`
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        image: GoldenImage,
        vpc: ec2.IVpc,
        subnets: ec2.SubnetSelection | None = None,
        egress: bool = False,
        make_endpoints: bool = False,
        instance_type: str | None = None,
        role: iam.IRole | None = None,
        security_groups: Sequence[ec2.ISecurityGroup] | None = None,
        environment: Mapping[str, str] | None = None,
        parameters: Mapping[str, Parameter] | None = None,
        secrets: Mapping[str, Secret] | None = None,
        user_data: ec2.UserData | None = None,
        session_manager: bool = False,
        detailed_monitoring: bool = False,
        volume_initialization_rate: int | None = None,
        termination_protection: bool = False,
        volumes: Mapping[str, Volume] | None = None,
    ) -> None:
        """Create the instance; the class says what each option means."""
        super().__init__(scope, id_)
        self.image = image
        path, recipe = self.node.path, image.recipe
        if (problem := problem_of_store_root(image, volume_initialization_rate)) is not None:
            raise InputError(f"{path}: {problem}")
        [kind] = image.chosen_types(path, instance_type)
        if volume_initialization_rate is not None and not 100 <= volume_initialization_rate <= 300:
            raise InputError(
                f"{path}: volume_initialization_rate must be from 100 to 300 MiB/s, "
                f"not {volume_initialization_rate}"
            )
        configuration = Configuration(environment or {}, parameters or {}, secrets or {})
        configuration.check(path, recipe.name, recipe.configuration)
        launch_data = user_data_of(path, configuration, user_data)
        places = subnets or subnets_for_clones(self, vpc, egress=egress)
        if security_groups is not None and not security_groups:
            raise InputError(
                f"{path}: security_groups is empty", hint="leave it out for a group of the clone's own"
            )
        first, *others = security_groups or [
            closed_group(
                self, "CloneGroup", vpc=vpc, description="Clone: nobody comes in unasked", outbound=egress
            )
        ]
        self.role: iam.IRole = (
            fitting_role(self, role)
            if role is not None
            else clone_role(self, "Role", "what it was granted, nothing else")
        )
        volumes = volumes or {}
        devices = [
            *root_volumes(image, initialization_rate=volume_initialization_rate),
            *data_volumes(path, recipe, volumes),
        ]
        # Instances of CloudFormation have no throughput and no initialization rate: launch templates do.
        apart = volume_initialization_rate is not None or any(v.throughput for v in volumes.values())
        self.instance = ec2.Instance(
            self,
            "Instance",
            vpc=vpc,
            vpc_subnets=places,
            instance_type=ec2.InstanceType(kind),
            machine_image=image,
            security_group=first,
            role=self.role,
            user_data=None if launch_data is None else ec2.UserData.custom(launch_data),
            user_data_causes_replacement=launch_data is not None or None,
            block_devices=None if apart else devices or None,
            http_tokens=ec2.HttpTokens.REQUIRED,
            http_put_response_hop_limit=1,
            detailed_monitoring=detailed_monitoring or None,
            disable_api_termination=termination_protection or None,
            propagate_tags_to_volume_on_creation=True,
        )
        if apart:
            template = ec2.LaunchTemplate(self, "Volumes", block_devices=devices)
            self.instance.instance.launch_template = ec2.CfnInstance.LaunchTemplateSpecificationProperty(
                launch_template_id=template.launch_template_id, version=template.latest_version_number
            )
        for group in others:
            self.instance.add_security_group(group)
        if launch_data is None:
            self.instance.instance.add_property_deletion_override("UserData")
        services = configuration.services
        configuration.grant(self, self.role)
        if session_manager:
            allow_sessions(self, self.role)
            services |= SERVICES
        if services and make_endpoints:
            service_endpoints(self, vpc=vpc, subnets=places, clones=self.connections, services=services)
        elif services and not egress:
            self.connections.allow_to_any_ipv4(ec2.Port.tcp(443), "Endpoints of AWS services")
        Tags.of(self).add("ingot:recipe", recipe.name)
        Tags.of(self).add("Name", f"ingot-{recipe.name}")
        self._depart(detailed_monitoring, termination_protection)

    @property
    @jsii.member(jsii_name="grantPrincipal")
    def grant_principal(self) -> iam.IPrincipal:
        """What permissions are granted to: the clone's role."""
        return self.role.grant_principal

    @property
    @jsii.member(jsii_name="connections")
    def connections(self) -> ec2.Connections:
        """The clone's network connections."""
        return self.instance.connections

    def _depart(self, detailed_monitoring: bool, termination_protection: bool) -> None:
        """Say why rules are departed from, where an option does."""
        if not detailed_monitoring:
            departs(self.instance, "AwsSolutions-EC28", "EC2 bills it; detailed_monitoring= turns it on.")
        if not termination_protection:
            departs(
                self.instance,
                "AwsSolutions-EC29",
                "A clone holds nothing that its image and its volumes do not; termination_protection= turns "
                "it on.",
            )
