"""Whether a load balancer may write its access logs into a bucket.

Source: "Enable access logs for your Application Load Balancer", ELB user guide: Elastic Load Balancing writes a test object as soon
as the attribute is set, and refuses the attribute when it may not.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Mapping
from typing import Any

from localcloud.services.cloudformation.errors import ResourceFailure
from localcloud.services.cloudformation.resources.base import ApiFailure, Env

WRITER = "logdelivery.elasticloadbalancing.amazonaws.com"


def check_log_bucket(env: Env, attributes: Mapping[str, str]) -> None:
    """Raise ResourceFailure in AWS's words when access logs are wanted in a bucket whose policy does not let them in."""
    if str(attributes.get("access_logs.s3.enabled")).lower() != "true":
        return
    bucket, prefix = attributes.get("access_logs.s3.bucket", ""), attributes.get("access_logs.s3.prefix", "")
    test_file = "/".join(
        part for part in (prefix, f"AWSLogs/{env.context.account}/ELBAccessLogTestFile") if part
    )
    try:
        policy = json.loads(env.call("s3", "get_bucket_policy", Bucket=bucket)["Policy"])
    except ApiFailure as error:
        if not error.gone:
            raise
        policy = {"Statement": []}
    if not any(_lets_write(line, f"arn:aws:s3:::{bucket}/{test_file}") for line in policy["Statement"]):
        raise ResourceFailure(
            f'Resource handler returned message: "Access Denied for bucket: {bucket}. Please check S3bucket permission '
            '(Service: elbv2, Error Code: InvalidConfigurationRequest)"'
        )


def _lets_write(statement: Mapping[str, Any], object_arn: str) -> bool:
    principal = statement.get("Principal")
    services = _list(principal.get("Service")) if isinstance(principal, dict) else []
    return (
        statement.get("Effect") == "Allow"
        and WRITER in services
        and any(fnmatch.fnmatchcase("s3:PutObject", action) for action in _list(statement.get("Action")))
        and any(fnmatch.fnmatchcase(object_arn, resource) for resource in _list(statement.get("Resource")))
    )


def _list(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else [] if value is None else [str(value)]
