"""The AWS clients that Ingot uses, made when first asked for, with one policy of timeouts and retries.

Making a client costs 50 to 200 ms (botocore reads the service's model), so `ingot publish` with nothing to do
must not make the ones it does not need.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, cast
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

from ingot.aws.session.calls import Calls
from ingot.aws.session.pace import Pace
from ingot.cloud_record import CloudRecord
from ingot.errors import InputError
from ingot.retry import Recent

if TYPE_CHECKING:
    from botocore.client import BaseClient
    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_ebs import EBSClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_sts import STSClient

T = TypeVar("T")

# How many blocks travel at a time, to and from EBS. Memory: about three copies of 512 KiB for each. 32
# streams at 20 ms a block are 1,600 blocks/s, above the quota of 1,000 PutSnapshotBlock requests a second for
# an account.
BLOCK_STREAMS = 32

# One attempt each: `ingot.aws.session.calls` repeats calls, and `ingot.aws.session.retry` blocks. Retries
# inside retries, without short timeouts, are what stalled coldsnap's uploads (its issues 362 and 437).
ONE_ATTEMPT: Any = {"mode": "standard", "total_max_attempts": 1}
CONTROL = Config(connect_timeout=10, read_timeout=60, retries=ONE_ATTEMPT, user_agent_extra="ingot")
# urllib3 sends the whole body within the time to connect, and then waits for the answer: 512 KiB take 2.1 s
# at 2 Mbit/s, and four at a time 8.4 s (see `ingot.bake.instance.upload.Lanes`).
BLOCKS = Config(
    connect_timeout=20,
    read_timeout=20,
    retries=ONE_ATTEMPT,
    max_pool_connections=BLOCK_STREAMS,
    user_agent_extra="ingot",
)


class AlarmReader(Protocol):
    """What Ingot asks of CloudWatch."""

    def get_paginator(self, operation_name: Literal["describe_alarms"]) -> Any:  # noqa: ANN401 - botocore's
        """Return the paginator of DescribeAlarms."""


class Clients:
    """The clients of one region and account. Endpoint and credentials come from the usual AWS environment."""

    def __init__(self, session: boto3.Session, *, endpoint_url: str | None = None) -> None:
        self._session = session
        self._endpoint_url = endpoint_url
        self._calls = Calls()

    def _governed(self, client: T) -> T:
        self._calls.govern(cast("BaseClient", client))
        return client

    @property
    def recent(self) -> Recent:
        """What these clients made, which AWS may not know yet."""
        return self._calls.recent

    def paced(self, operation: str, pace: Pace) -> AbstractContextManager[None]:
        """Return a block in which calls of ``operation``, such as ``GetConsoleOutput``, keep to a pace."""
        return self._calls.paced(operation, pace)

    @property
    def region(self) -> str:
        """The region's name, such as ``us-east-1``."""
        return self._session.region_name or "us-east-1"

    @property
    def on_this_machine(self) -> bool:
        """Whether AWS's APIs are answered on this machine: by the local cloud."""
        return urlsplit(self.sts.meta.endpoint_url).hostname in ("localhost", "127.0.0.1", "::1")

    @cached_property
    def ec2(self) -> EC2Client:
        """EC2: AMIs, snapshots, instances."""
        return self._governed(self._session.client("ec2", config=CONTROL, endpoint_url=self._endpoint_url))

    @cached_property
    def ebs(self) -> EBSClient:
        """EBS direct: the blocks of snapshots."""
        return self._governed(self._session.client("ebs", config=BLOCKS, endpoint_url=self._endpoint_url))

    @cached_property
    def s3(self) -> S3Client:
        """S3: the bundles of builders, and their manifests."""
        return self._governed(self._session.client("s3", config=CONTROL, endpoint_url=self._endpoint_url))

    @cached_property
    def logs(self) -> CloudWatchLogsClient:
        """CloudWatch Logs: what builders say."""
        return self._governed(self._session.client("logs", config=CONTROL, endpoint_url=self._endpoint_url))

    @cached_property
    def ssm(self) -> SSMClient:
        """Systems Manager: the registry's parameters."""
        return self._governed(self._session.client("ssm", config=CONTROL, endpoint_url=self._endpoint_url))

    @cached_property
    def sts(self) -> STSClient:
        """STS: which account this is."""
        return self._governed(self._session.client("sts", config=CONTROL, endpoint_url=self._endpoint_url))

    @cached_property
    def cloudformation(self) -> CloudFormationClient:
        """CloudFormation: the outputs of the deployed stacks."""
        return self._governed(
            self._session.client("cloudformation", config=CONTROL, endpoint_url=self._endpoint_url)
        )

    @cached_property
    def autoscaling(self) -> AutoScalingClient:
        """Auto Scaling: the fleet."""
        return self._governed(
            self._session.client("autoscaling", config=CONTROL, endpoint_url=self._endpoint_url)
        )

    @cached_property
    def cloudwatch(self) -> AlarmReader:
        """CloudWatch: the alarms of the deployed stacks."""
        client: AlarmReader = self._governed(
            self._session.client("cloudwatch", config=CONTROL, endpoint_url=self._endpoint_url)
        )
        return client

    @cached_property
    def elbv2(self) -> ElasticLoadBalancingv2Client:
        """Elastic Load Balancing: the health of the fleet's targets."""
        return self._governed(self._session.client("elbv2", config=CONTROL, endpoint_url=self._endpoint_url))


def has_credentials() -> bool:
    """Whether boto3 finds credentials: of the environment, of a profile, or of the instance that this is."""
    return boto3.Session().get_credentials() is not None


def connect(*, region: str | None = None, endpoint_url: str | None = None) -> Clients:
    """Return the clients of ``region`` (default: AWS_REGION, else AWS_DEFAULT_REGION, else the profile's).

    boto3 does not read AWS_REGION. The aws and cdk commands do, and before the others: all must mean the same
    region. Raises InputError when none is named: nothing has been asked by then.
    """
    session = boto3.Session(region_name=region or os.environ.get("AWS_REGION") or None)
    if session.region_name is None:
        raise InputError(
            "no AWS region is set", hint='set AWS_REGION, or use the local cloud: eval "$(ingot cloud env)"'
        )
    return Clients(session, endpoint_url=endpoint_url)


def connect_to_local_cloud(record: CloudRecord) -> Clients:
    """Return the clients of the local cloud that ``record`` describes, whatever the environment names."""
    session = boto3.Session(
        aws_access_key_id=record.environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=record.environment["AWS_SECRET_ACCESS_KEY"],
        region_name=record.environment["AWS_REGION"],
    )
    return Clients(session, endpoint_url=record.endpoint)


def require_account(clients: Clients, account: str, who: str) -> None:
    """Raise InputError unless the credentials belong to ``account``, which ``who`` names."""
    found = clients.sts.get_caller_identity()["Account"]
    if found != account:
        raise InputError(
            f"the credentials in use belong to the account {found}, but {who} names {account}",
            hint="choose other credentials, for example with AWS_PROFILE: "
            "images are published with them, not with the CDK's roles",
        )
