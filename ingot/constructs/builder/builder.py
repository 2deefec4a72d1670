"""What bakes and proves images: a network, two launch templates, a role, a bucket, a log group."""

from __future__ import annotations

from aws_cdk import Duration, RemovalPolicy, Tags
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from constructs import Construct

from ingot.constructs.audit import departs
from ingot.constructs.builder.role import builder_role
from ingot.constructs.machines import cidr_network, closed_group, root_volume

# Room for the builder's own system, the packages, the layers and a disk image of some GiB.
BUILDER_VOLUME = 40 << 30


class Builder(Construct):
    """The place where images are baked and where their test clones run.

    It costs nothing while nothing runs: no NAT gateway, no machine. Its machines have public addresses, since
    their way out to the distribution's mirrors and to AWS has to be somewhere, and security groups that let
    nothing in.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        vpc: ec2.IVpc | None = None,
        vpc_cidr: str = "172.21.0.0/24",
        instance_type: str = "c7i.large",
        test_instance_type: str = "t3.small",
        log_retention: logs.RetentionDays = logs.RetentionDays.ONE_MONTH,
        bundle_days: int = 7,
    ) -> None:
        """Create the builder.

        :param vpc: a VPC with public subnets. Default: one of its own, with two of them
        :param vpc_cidr: the addresses of its own VPC
        :param instance_type: of the builder instance: Nitro, UEFI
        :param test_instance_type: of the test clone: Nitro, UEFI
        :param log_retention: how long the builder's log is kept
        :param bundle_days: after how many days a bundle (plan, sources, engine) is deleted; packages stay
        """
        super().__init__(scope, id_)
        self.vpc = vpc or self._network(vpc_cidr)
        self.subnets = self.vpc.select_subnets(subnet_type=ec2.SubnetType.PUBLIC)
        self.bundles = self._bucket(bundle_days)
        self.log_group = logs.LogGroup(
            self, "Log", retention=log_retention, removal_policy=RemovalPolicy.DESTROY
        )
        self.role = builder_role(self, "Role", bundles=self.bundles, log_group=self.log_group)
        group = closed_group(
            self,
            "Group",
            vpc=self.vpc,
            description="Builder and test clones: nothing comes in",
            outbound=True,
        )
        self.launch_template = self._launch_template(
            "Machine", ec2.InstanceType(instance_type), group, size=BUILDER_VOLUME, role=self.role
        )
        # A test clone has no role and no more than its own image: what passes here passes in a fleet.
        self.test_launch_template = self._launch_template(
            "TestClone", ec2.InstanceType(test_instance_type), group, size=None, role=None
        )

    def _network(self, cidr: str) -> ec2.Vpc:
        public = ec2.SubnetConfiguration(
            name="Public", subnet_type=ec2.SubnetType.PUBLIC, map_public_ip_on_launch=True
        )
        vpc = cidr_network(self, "Network", cidr=cidr, subnets=[public], nat=0)
        departs(
            vpc,
            "AwsSolutions-VPC7",
            "Machines run here for minutes, with no way in; flow logs would cost more than the builder. "
            "Give a VPC that has them.",
        )
        return vpc

    def _bucket(self, days: int) -> s3.Bucket:
        bucket = s3.Bucket(
            self,
            "Bundles",
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            removal_policy=RemovalPolicy.DESTROY,
            lifecycle_rules=[
                *(
                    s3.LifecycleRule(prefix=f"{prefix}/", expiration=Duration.days(days))
                    for prefix in ("bundles", "results")
                ),
                # Not packages/: an old lock is baked from there when no mirror has its packages any more.
                s3.LifecycleRule(abort_incomplete_multipart_upload_after=Duration.days(1)),
            ],
        )
        departs(
            bucket,
            "AwsSolutions-S1",
            "Bundles and packages are named by their digest and read by one role; an access log would "
            "need a bucket of its own.",
        )
        return bucket

    def _launch_template(
        self,
        id_: str,
        kind: ec2.InstanceType,
        group: ec2.SecurityGroup,
        *,
        size: int | None,
        role: iam.Role | None,
    ) -> ec2.LaunchTemplate:
        """Return a launch template without an AMI: `ingot publish` names it when it starts the machine."""
        template = ec2.LaunchTemplate(
            self,
            id_,
            instance_type=kind,
            security_group=group,
            role=role,
            block_devices=[root_volume(size=size)],
            require_imdsv2=True,
            http_put_response_hop_limit=1,
            instance_initiated_shutdown_behavior=ec2.InstanceInitiatedShutdownBehavior.TERMINATE,
        )
        part = "test-clone" if role is None else "builder"
        Tags.of(template).add("Name", f"ingot-{part}")
        # By this tag a policy tells the two apart: ingot/policies/publish.json.
        Tags.of(template).add("ingot:part", part)
        return template
