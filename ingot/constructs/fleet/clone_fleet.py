"""A fleet: clones of one golden image behind a load balancer, replaced by instance refresh."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import jsii
from aws_cdk import Duration, Tags
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_iam as iam
from constructs import Construct

from ingot.constructs.fleet.balancing.application import application_front
from ingot.constructs.fleet.balancing.front import (
    Front,
    FrontOptions,
    GivenBalancing,
    LoadBalancer,
    TargetGroup,
    problem_of,
    problem_of_front,
)
from ingot.constructs.fleet.balancing.network import network_front
from ingot.constructs.fleet.configuration import Configuration, Parameter, Secret, user_data_of
from ingot.constructs.fleet.group import (
    GroupOptions,
    Machine,
    Size,
    add_hooks,
    clone_group,
    follow_clock,
    follow_load,
    keep_warm,
    launch_template,
    let_clones_complete,
    problem_of_hooks,
    problem_of_schedules,
    update_policy,
    warn_of_targets,
)
from ingot.constructs.fleet.monitoring import FleetAlarms, Health, Shown, dashboard
from ingot.constructs.fleet.network import (
    CalledService,
    check_balancer_subnets,
    fleet_network,
    service_endpoints,
    subnets_for_clones,
)
from ingot.constructs.fleet.options import (
    Alarms,
    HealthCheck,
    Hook,
    Refresh,
    Rule,
    Scaling,
    Schedule,
    Serving,
    Spot,
    WarmPool,
)
from ingot.constructs.fleet.role import clone_role, fitting_role, with_role
from ingot.constructs.fleet.session_manager import SERVICES, allow_sessions
from ingot.constructs.fleet.volumes import Volume, data_volumes, let_groups_use_keys, problem_of_store_root
from ingot.constructs.image.golden_image import GoldenImage
from ingot.constructs.machines import closed_group
from ingot.errors import InputError

# "Amazon VPC quotas": security groups per network interface, unless the account has it raised.
MOST_GROUPS = 5


@jsii.implements(iam.IGrantable, ec2.IConnectable)
class CloneFleet(Construct):
    """An Auto Scaling group of clones, its load balancer if it has one, its alarms.

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
    :param schedules: sizes that the group gets at certain times, by name. Default: none
    :param warm_pool: clones that have booted already. Default: none
    :param hooks: lifecycle hooks, by name: clones wait before they serve, or before they end. Default: none
    :param serving: where and how clones serve, by an Application or a Network Load Balancer or without one.
        Default: HTTP on port 80
    :param health_path: the path that answers 200 when a clone is well. Default: /healthz; of clones that
        serve TCP or UDP, a connection that is accepted
    :param health_check: all of the health check, in the place of ``health_path``
    :param load_balancer: one that is there already, of the kind that goes with ``serving``; it gets the
        fleet's listeners. Default: one of its own
    :param listener: one that is there already; it sends its requests to the fleet, or those of ``rule``.
        Default: listeners of the fleet's own
    :param rule: which requests of ``listener`` are the fleet's. Default: all
    :param health_grace: how long a new clone may take until it is well. Default: 5 minutes
    :param deregistration_delay: for how long a clone that goes may finish its requests. Default: 15 seconds
    :param idle_timeout: how long the load balancer keeps a connection on which nothing is sent. The image's
        server must keep idle connections longer, or some requests get a 502. Default: 60 seconds; 350 of a
        Network Load Balancer
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
        schedules: Mapping[str, Schedule] | None = None,
        warm_pool: WarmPool | None = None,
        hooks: Mapping[str, Hook] | None = None,
        serving: Serving | None = None,
        health_path: str | None = None,
        health_check: HealthCheck | None = None,
        load_balancer: LoadBalancer | None = None,
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
        types = image.chosen_types(self.node.path, instance_type, more_instance_types)
        size.check(self.node.path)
        self._check(spot, warm_pool, volume_initialization_rate, refresh := refresh or Refresh())
        self._require(problem_of_store_root(image, volume_initialization_rate, refresh, warm_pool))
        self._require(problem_of_schedules(schedules or {}) or problem_of_hooks(hooks or {}))
        serving = serving or Serving()
        if serving.balanced:
            warn_of_targets(self, size, refresh)
        given = GivenBalancing(load_balancer, listener, rule)
        if not serving.balanced:
            self._check_unbalanced(
                serving,
                scaling,
                health_path=health_path,
                health_check=health_check,
                load_balancer=load_balancer,
                listener=listener,
                rule=rule,
                certificate_arn=certificate_arn,
                domain_name=domain_name,
                access_logs=access_logs,
                deregistration_delay=deregistration_delay,
                idle_timeout=idle_timeout,
            )
        elif domain_name is not None and certificate_arn is None and listener is None:
            self._require(
                f"domain_name {domain_name} needs certificate_arn", hint="the certificate is for that name"
            )
        if health_path is not None and health_check is not None:
            self._require(
                "health_path and health_check exclude each other", hint="HealthCheck(path=…) has the path"
            )
        usual_path = HealthCheck.path if serving.transport is None else None
        check = health_check or HealthCheck(health_path or usual_path)
        self._require(problem_of(serving, check))
        given.check(self.node.path, serving, vpc is not None, certificate_arn)
        configuration = Configuration(environment or {}, parameters or {}, secrets or {})
        configuration.check(self.node.path, image.recipe.name, image.recipe.configuration)
        disks = data_volumes(self.node.path, image.recipe, volumes or {})
        let_groups_use_keys(self, volumes or {})
        grace = health_grace or Duration.minutes(5)
        self.vpc = vpc or fleet_network(self, cidr=vpc_cidr, egress=egress, zones=zones)
        if serving.balanced and load_balancer is None and listener is None:
            check_balancer_subnets(self, self.vpc, internet_facing=internet_facing)
        self.clone_subnets = clone_subnets or subnets_for_clones(self, self.vpc, egress=egress)
        groups = self._security_groups(security_groups, egress=egress)
        self.clones = groups[0]
        self._connections = ec2.Connections(security_groups=groups, default_port=serving.traffic)
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

        self._front = None
        if serving.balanced:
            options = FrontOptions(
                vpc=self.vpc,
                serving=serving,
                check=check,
                internet_facing=internet_facing,
                deregistration_delay=deregistration_delay or Duration.seconds(15),
                idle_timeout=idle_timeout,
                access_logs=access_logs,
                certificate_arn=certificate_arn,
                domain_name=domain_name,
            )
            self._require(
                problem_of_front(options, requests=scaling is not None and scaling.requests is not None)
            )
            self._front = self._made_front(options, given)
        self.alarms = FleetAlarms(
            self,
            "Alarms",
            front=self._front,
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
                metrics=show_dashboard or self._front is None,
                balanced=self._front is not None,
                in_place=image.ami_id if refresh.strategy == "REPLACE_ROOT_VOLUME" else None,
            ),
        )
        self._serve()
        if size.minimum != size.maximum:
            follow_load(self.group, scaling or Scaling(), refresh.warm_up, self._served)
        follow_clock(self.group, schedules or {})
        add_hooks(self.group, hooks or {})
        if any(hook.by_clones for hook in (hooks or {}).values()):
            let_clones_complete(self, self.role, self.group)
        if warm_pool is not None:
            keep_warm(self.group, warm_pool)
        if show_dashboard:
            title = f"{image.recipe.name}: alarms"
            dashboard(self, Shown(title, self._front, self.group, self.alarms.all))
        Tags.of(self).add("ingot:recipe", image.recipe.name)

    @property
    def load_balancer(self) -> LoadBalancer | None:
        """What spreads requests or connections over the clones; None where nothing does."""
        return None if self._front is None else self._front.balancer

    @property
    def targets(self) -> TargetGroup | None:
        """The clones as the load balancer sees them; None without one."""
        return None if self._front is None else self._front.targets

    @property
    def url(self) -> str | None:
        """Where the load balancer serves: http, https, or tcp, tls, udp with a port; None without one."""
        return None if self._front is None else self._front.url

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
                f"{self.node.path}: security_groups must be 1 to {MOST_GROUPS} groups, not {len(given)}",
                hint="leave security_groups out for a group of the fleet's own",
            )
        return list(given)

    def _reach(self, services: Mapping[str, CalledService], *, own: bool) -> None:
        """Let clones without a way out reach services: by endpoints, or as a given VPC provides."""
        if own:
            service_endpoints(
                self, vpc=self.vpc, subnets=self.clone_subnets, clones=self.connections, services=services
            )
        else:
            what = "Session Manager" if "SsmMessages" in services else "parameters and secrets"
            self.connections.allow_to_any_ipv4(ec2.Port.tcp(443), f"Endpoints of {what}")

    def _made_front(self, options: FrontOptions, given: GivenBalancing) -> Front:
        """Return the load balancer that goes with what the clones speak."""
        if options.serving.transport is None:
            return application_front(self, options, given=given, clones=self.connections)
        # given.check() let pass a network load balancer alone.
        balancer = cast("elb.INetworkLoadBalancer | None", given.load_balancer)
        return network_front(self, options, given=balancer, clones=self.connections)

    @property
    def _served(self) -> str | None:
        """The names by which metrics know the requests to the clones."""
        if self._front is None or self._front.is_network:
            return None
        return f"{self._front.full_name}/{self._front.targets.target_group_full_name}"

    def _serve(self) -> None:
        """Put the group behind the load balancer, if there is one."""
        if self._front is None:
            # The group's own metric: the alarm cannot stop the group's refreshes, which it would wait for.
            self.alarms.watch_group(self.group)
            return
        targets = self._front.targets
        if isinstance(targets, elb.NetworkTargetGroup):
            self.group.attach_to_network_target_group(targets)
        else:
            self.group.attach_to_application_target_group(targets)
        # Clones that start before there is a listener would count as unhealthy. Only the group waits: its
        # policies do by themselves.
        resource = self.group.node.default_child
        assert resource is not None  # noqa: S101 - what the construct is made of
        resource.node.add_dependency(targets.load_balancer_attached)

    def _check(
        self, spot: Spot | None, warm_pool: WarmPool | None, rate: int | None, refresh: Refresh
    ) -> None:
        """Raise InputError for options that exclude each other or are out of bounds."""
        if spot is not None and warm_pool is not None:
            self._require(
                "warm_pool and spot exclude each other: EC2 Auto Scaling keeps no Spot instances warm"
            )
        if rate is not None and not 100 <= rate <= 300:
            self._require(f"volume_initialization_rate must be from 100 to 300 MiB/s, not {rate}")
        if refresh.strategy == "REPLACE_ROOT_VOLUME" and refresh.min_healthy_percentage >= 100:
            self._require(
                "REPLACE_ROOT_VOLUME needs a min_healthy_percentage below 100",
                hint="clones get their new root volumes in place: each is away meanwhile",
            )

    def _check_unbalanced(self, serving: Serving, scaling: Scaling | None, **given: object) -> None:
        """Raise InputError for options of a load balancer where there is none."""
        given |= {"sticky": serving.sticky, "slow_start": serving.slow_start}
        given["scaling by requests"] = None if scaling is None else scaling.requests
        named = [name for name, value in given.items() if value is not None]
        if named:
            self._require(
                f"{', '.join(named)} {'needs' if len(named) == 1 else 'need'} a load balancer",
                hint="leave out what needs one, or balanced=False",
            )

    def _require(self, problem: str | None, hint: str | None = None) -> None:
        """Raise InputError where there is a problem."""
        if problem is not None:
            raise InputError(f"{self.node.path}: {problem}", hint=hint)
