"""The environment in which the AWS CLI, boto3 and the CDK CLI use the local cloud."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ingot.errors import InputError
from localcloud.core.context import ACCOUNT, REGION

# Variables that would lead a tool elsewhere, or to other credentials.
UNSET = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")

# The CDK CLI caches account numbers per access key in ~/.cdk/cache, so the key must be no other cloud's. moto takes
# only keys of 20 capitals and digits for one.
ACCESS_KEY = "INGOTLOCALCLOUD00001"


URL_PORT = "INGOT_URL_PORT"
DEFAULT_URL_PORT = 8080


def url_port(environ: Mapping[str, str] = os.environ) -> int:
    """Return the port that the first load balancer listens on if it is free. Raises InputError when INGOT_URL_PORT names none."""
    text = environ.get(URL_PORT) or str(DEFAULT_URL_PORT)
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise InputError(f"{URL_PORT}: found {text!r}, expected a port from 1 to 65535")
    return int(text)


def variables(port: int) -> dict[str, str]:
    """Return the variables for a cloud on ``port``."""
    endpoint = f"http://localhost:{port}"
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ENDPOINT_URL_S3": endpoint,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": "no-secret-the-local-cloud-checks-no-signature",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "CDK_DEFAULT_ACCOUNT": ACCOUNT,
        "CDK_DEFAULT_REGION": REGION,
    }
