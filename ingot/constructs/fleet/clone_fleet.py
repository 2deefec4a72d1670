"""A fleet: clones of one golden image behind a load balancer, replaced by instance refresh."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jsii
from aws_cdk import Duration, Tags
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_iam as iam
from constructs import Construct

from ingot.constructs.fleet.balancer import (
    GivenBalancing,
    full_name,
    listen,
    load_balancer_of_fleet,
    problem_of,
    serve_from,
    target_group,
)
from ingot.constructs.fleet.configuration import Configuration, Parameter, Secret, user_data_of
from ingot.constructs.fleet.group import (
    GroupOptions,
    Machine,
    Size,
    clone_group,
    follow_load,
    keep_warm,
    launch_template,
    update_policy,
)
from ingot.constructs.fleet.monitoring import FleetAlarms, Health, Shown, dashboard
from ingot.constructs.fleet.network import (
    Service,
    check_balancer_subnets,
    fleet_network,
    service_endpoints,
    subnets_for_clones,
)
from ingot.constructs.fleet.options import (
    Alarms,
    HealthCheck,
    Refresh,
    Rule,
    Scaling,
    Serving,
    Spot,
    WarmPool,
)
from ingot.constructs.fleet.role import clone_role, fitting_role, with_role
from ingot.constructs.fleet.session_manager import SERVICES, allow_sessions
from ingot.constructs.fleet.volumes import Volume, data_volumes, let_groups_use_keys
from ingot.constructs.image.golden_image import GoldenImage
from ingot.constructs.instance_types import chosen_types
from ingot.constructs.machines import closed_group
from ingot.errors import InputError

# "Amazon VPC quotas": security groups per network interface, unless the account has it raised.
MOST_GROUPS = 5


@jsii.implements(iam.IGrantable, ec2.IConnectable)
class CloneFleet(Construct):
    """An Auto Scaling group of clones, its load balancer, its alarms.

    Whatever grants or connects takes the fleet: ``secret.grant_read(fleet)`` gives the clones' role the
    permission, ``database.connections.allow_default_port_from(fleet)`` opens both security groups.

    A new image changes one line of the template, the launch template's AMI. CloudFormation then makes a new
    numbered launch template version and refreshes the group: a new clone has to be healthy at the load
    balancer before an old one goes, and an alarm that fires stops it, upon which CloudFormation rolls back to
    the version before.

    :param image: what the clones are clones of
    :param vpc: a VPC with public subnets for the load balancer (internet_facing) and others for the clones.
        Default: one of its own, whose clones have no address and no way to the Internet
    :param clone_subnets: where in the VPC the clones are. Default: with ``egress`` its private subnets, else
        its isolated ones, else its private ones; never its public ones, unless they are named here
    :param vpc_cidr: the addresses of its own VPC
    :param zones: over how many availability zones its own VPC spreads, or which by name; two at least
    :param internet_facing: whether the load balancer has public addresses
    :param egress: whether clones may reach the Internet; in its own VPC that takes a NAT gateway
    :param certificate_arn: of a certificate of ACM, in the same region. Then HTTPS is served, and HTTP leads
        to it. Default: HTTP
    :param domain_name: the name that the certificate is for and that leads to the load balancer. Default: the
        load balancer's
    :param access_logs: for how long the load balancer's access logs are kept, in a bucket that outlives the
        stack. Default: none
    :param instance_type: Nitro, of the recipe's architecture. Default: t3.small, or t4g.small for arm64
    :param more_instance_types: what is taken when there is no capacity of the first. Default: none
    :param spot: how much runs on Spot capacity. Default: nothing
    :param min_clones, max_clones: bounds of the group. Default: 2 and 4
    :param desired_clones: set the size with each deployment. Default: as many as there are, at first
        ``min_clones``
    :param scaling: what the size follows between its bounds. Default: 60 % CPU; nothing when the bounds are
        equal
    :param warm_pool: clones that have booted already. Default: none
    :param serving: where and how clones serve. Default: HTTP on port 80
    :param health_path: the path that answers 200 when a clone is well. Default: /healthz
    :param health_check: all of the health check, in the place of ``health_path``
    :param load_balancer: one that is there already; it gets the fleet's listeners. Default: one of its own
    :param listener: one that is there already; it sends its requests to the fleet, or those of ``rule``.
        Default: listeners of the fleet's own
    :param rule: which requests of ``listener`` are the fleet's. Default: all
    :param health_grace: how long a new clone may take until it is well. Default: 5 minutes
    :param deregistration_delay: for how long a clone that goes may finish its requests. Default: 15 seconds
    :param idle_timeout: how long the load balancer keeps a connection on which nothing is sent. The image's
        server must keep idle connections longer, or some requests get a 502. Default: 60 seconds
    :param refresh: how images are replaced
    :param alarms: when alarms fire, and whom they notify
    :param show_dashboard: whether there is a dashboard, and group metrics for it
    :param volume_initialization_rate: MiB/s at which root volumes are filled from the snapshot, 100 to 300;
        EBS bills it. Default: blocks come when they are read for the first time
    :param detailed_monitoring: whether EC2 measures every minute instead of every five; EC2 bills it
    :param session_manager: whether Session Manager may open a shell on clones; the image needs its agent
    :param role: what clones may do on AWS; EC2 has to be able to assume it. Default: a role without
        permissions, made when something is granted
    :param security_groups: whose members the clones are, in the place of a group of the fleet's own; the load
        balancer's connections are added to their rules. One to five. Default: one that lets the load balancer
        in and, without ``egress``, nothing out
    :param environment: values of the variables that the recipe declares under ``configuration``; CDK tokens
        too. They are no secrets: the template and user data have them
    :param parameters: variables whose values are SSM parameters, constructs or names; clones read them when
        they boot
    :param secrets: secrets of Secrets Manager that the recipe declares, whole or a :class:`SecretKey` of one;
        clones read them when they boot
    :param user_data: what cloud-init in the image gets, as it is. Default: none
    :param volumes: size and performance of data volumes that the recipe declares, by name. Default: the
        recipe's sizes, and what gp3 includes
    :raises InputError: options that contradict each other, a VPC without the subnets that are needed,
        instance types of another architecture
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        image: GoldenImage,
        vpc: ec2.IVpc | None = None,
        clone_subnets: ec2.SubnetSelection | None = None,
        vpc_cidr: str = "172.20.0.0/16",
        zones: int | Sequence[str] = 2,
        internet_facing: bool = True,
        egress: bool = False,
        certificate_arn: str | None = None,
        domain_name: str | None = None,
        access_logs: Duration | None = None,
        instance_type: str | None = None,
        more_instance_types: tuple[str, ...] = (),
        spot: Spot | None = None,
        min_clones: int = 2,
        max_clones: int = 4,
        desired_clones: int | None = None,
        scaling: Scaling | None = None,
        warm_pool: WarmPool | None = None,
        serving: Serving | None = None,
        health_path: str | None = None,
        health_check: HealthCheck | None = None,
        load_balancer: elb.IApplicationLoadBalancer | None = None,
        listener: elb.IApplicationListener | None = None,
        rule: Rule | None = None,
        health_grace: Duration | None = None,
        deregistration_delay: Duration | None = None,
        idle_timeout: Duration | None = None,
        refresh: Refresh | None = None,
        alarms: Alarms | None = None,
        show_dashboard: bool = True,
        volume_initialization_rate: int | None = None,
        detailed_monitoring: bool = False,
        session_manager: bool = False,
        role: iam.IRole | None = None,
        security_groups: Sequence[ec2.ISecurityGroup] | None = None,
        environment: Mapping[str, str] | None = None,
        parameters: Mapping[str, Parameter] | None = None,
        secrets: Mapping[str, Secret] | None = None,
        user_data: ec2.UserData | None = None,
        volumes: Mapping[str, Volume] | None = None,
    ) -> None:
        """Create the fleet; the class says what each option means."""
        super().__init__(scope, id_)
        self.image = image
        size = Size(min_clones, desired_clones, max_clones)
        types = chosen_types(self.node.path, instance_type, image.recipe.architecture, more_instance_types)
        size.check(self.node.path)
        self._check(
            spot,
            warm_pool,
            volume_initialization_rate,
            certificate_arn,
            domain_name,
            has_listener=listener is not None,
        )
        serving = serving or Serving()
        check = health_check or HealthCheck(health_path or HealthCheck.path)
        self._check_balancing(serving, check, both=None not in (health_path, health_check))
        refresh = refresh or Refresh()
        if refresh.strategy == "REPLACE_ROOT_VOLUME" and refresh.min_healthy_percentage >= 100:
            raise InputError(
                f"{self.node.path}: REPLACE_ROOT_VOLUME with min_healthy_percentage 100; expected less",
                hint="clones get their new root volumes in place: each is away meanwhile",
            )
        given = GivenBalancing(load_balancer, listener, rule)
        given.check(self.node.path, vpc is not None, certificate_arn)
        configuration = Configuration(environment or {}, parameters or {}, secrets or {})
        configuration.check(self.node.path, image.recipe.name, image.recipe.configuration)
        disks = data_volumes(self.node.path, image.recipe, volumes or {})
        let_groups_use_keys(self, volumes or {})
        grace = health_grace or Duration.minutes(5)
        self.vpc = vpc or fleet_network(self, cidr=vpc_cidr, egress=egress, zones=zones)
        if load_balancer is None and listener is None:
            check_balancer_subnets(self, self.vpc, internet_facing=internet_facing)
        self.clone_subnets = clone_subnets or subnets_for_clones(self, self.vpc, egress=egress)
        groups = self._security_groups(security_groups, egress=egress)
        self.clones = groups[0]
        self._connections = ec2.Connections(security_groups=groups, default_port=ec2.Port.tcp(serving.port))
        launch_data = user_data_of(self.node.path, configuration, user_data)
        machine = Machine(types[0], volume_initialization_rate, detailed_monitoring, launch_data, disks)
        self.launch_template = launch_template(self, image, machine, groups=groups)
        self._role = role and fitting_role(self, role)
        if session_manager:
            self._role = role or clone_role(self, "Sessions", "Session Manager's channels, nothing else")
            allow_sessions(self, self._role)
        if self._role is not None:
            with_role(self.launch_template, self._role)
        services = configuration.services
        if services:
            configuration.grant(self, self.role)
        if session_manager:
            services |= SERVICES
        if services and not egress:
            self._reach(services, own=vpc is None)

        delay = deregistration_delay or Duration.seconds(15)
        self.targets = target_group(self, vpc=self.vpc, serving=serving, check=check, delay=delay)
        self.load_balancer = given.balancer or load_balancer_of_fleet(
            self,
            vpc=self.vpc,
            internet_facing=internet_facing,
            idle_timeout=idle_timeout or Duration.seconds(60),
            access_logs=access_logs,
        )
        if listener is None:
            listen(self.load_balancer, self.targets, certificate_arn)
        else:
            serve_from(listener, self.targets, rule)
        if check.port not in (None, serving.port):
            self.connections.allow_from(self.load_balancer, ec2.Port.tcp(check.port), "Health checks")
        host = domain_name or self.load_balancer.load_balancer_dns_name
        encrypted = certificate_arn is not None or given.encrypted
        self.url = f"{'https' if encrypted else 'http'}://{host}"

        balanced = full_name(self.load_balancer)
        self.alarms = FleetAlarms(
            self,
            "Alarms",
            balancer=balanced,
            targets=self.targets,
            health=Health(size.minimum, grace),
            settings=alarms or Alarms(),
        )
        self.group = clone_group(
            self,
            self.launch_template,
            GroupOptions(
                name=f"ingot-{image.recipe.name}",
                vpc=self.vpc,
                subnets=self.clone_subnets,
                size=size,
                types=tuple(types),
                spot=spot,
                health_grace=grace,
                update_policy=update_policy(refresh, self.alarms.all),
                metrics=show_dashboard,
                in_place=image.ami_id if refresh.strategy == "REPLACE_ROOT_VOLUME" else None,
            ),
        )
        self._serve()
        if size.minimum != size.maximum:
            served = f"{balanced}/{self.targets.target_group_full_name}"
            follow_load(self.group, scaling or Scaling(), refresh.warm_up, served)
        if warm_pool is not None:
            keep_warm(self.group, warm_pool)
        if show_dashboard:
            title = f"{image.recipe.name}: alarms"
            shown = Shown(title, balanced, self.targets, self.group, self.alarms.all)
            dashboard(self, shown)
        Tags.of(self).add("ingot:recipe", image.recipe.name)

    @property
    def role(self) -> iam.IRole:
        """The clones' role: what was given, else one that is made when it is first asked for."""
        if self._role is None:
            self._role = clone_role(self, "Role", "what they were granted, nothing else")
            with_role(self.launch_template, self._role)
        return self._role

    @property
    @jsii.member(jsii_name="grantPrincipal")
    def grant_principal(self) -> iam.IPrincipal:
        """What permissions are granted to: the clones' role."""
        return self.role

    @property
    @jsii.member(jsii_name="connections")
    def connections(self) -> ec2.Connections:
        """The clones' network connections; the default port is the one that they serve on."""
        return self._connections

    def _security_groups(
        self, given: Sequence[ec2.ISecurityGroup] | None, *, egress: bool
    ) -> list[ec2.ISecurityGroup]:
        """Return the clones' security groups; raise InputError when none or too many are given."""
        if given is None:
            group = closed_group(
                self,
                "CloneGroup",
                vpc=self.vpc,
                description="Clones: only the load balancer comes in",
                outbound=egress,
            )
            return [group]
        if not 1 <= len(given) <= MOST_GROUPS:
            raise InputError(
                f"{self.node.path}: {len(given)} security_groups; expected 1 to {MOST_GROUPS}",
                hint="leave security_groups out for a group of the fleet's own",
            )
        return list(given)

    def _reach(self, services: Mapping[str, Service], *, own: bool) -> None:
        """Let clones without a way out reach services: by endpoints, or as a given VPC provides."""
        if own:
            service_endpoints(
                self, vpc=self.vpc, subnets=self.clone_subnets, clones=self.connections, services=services
            )
        else:
            what = "Session Manager" if "SsmMessages" in services else "parameters and secrets"
            self.connections.allow_to_any_ipv4(ec2.Port.tcp(443), f"Endpoints of {what}")

    def _serve(self) -> None:
        """Put the group behind the load balancer."""
        self.group.attach_to_application_target_group(self.targets)
        # Clones that start before there is a listener would count as unhealthy. Only the group waits: its
        # policies do by themselves.
        resource = self.group.node.default_child
        assert resource is not None  # noqa: S101 - what the construct is made of
        resource.node.add_dependency(self.targets.load_balancer_attached)

    def _check(
        self,
        spot: Spot | None,
        warm_pool: WarmPool | None,
        rate: int | None,
        certificate_arn: str | None,
        domain_name: str | None,
        *,
        has_listener: bool,
    ) -> None:
        """Raise InputError for options that exclude each other or are out of bounds."""
        problem = None
        if spot is not None and warm_pool is not None:
            problem = (
                "a warm pool and Spot capacity; expected one of them: "
                "EC2 Auto Scaling keeps no Spot instances warm"
            )
        elif rate is not None and not 100 <= rate <= 300:
            problem = f"volume_initialization_rate {rate}; expected 100 to 300 MiB/s"
        elif domain_name is not None and certificate_arn is None and not has_listener:
            problem = (
                f"domain_name {domain_name} without certificate_arn; expected both, "
                "the name being the certificate's"
            )
        if problem is not None:
            raise InputError(f"{self.node.path}: {problem}")

    def _check_balancing(self, serving: Serving, check: HealthCheck, *, both: bool) -> None:
        """Raise InputError for what Elastic Load Balancing would refuse."""
        problem = "health_path and health_check; expected one of them" if both else problem_of(serving, check)
        if problem is not None:
            raise InputError(f"{self.node.path}: {problem}")
