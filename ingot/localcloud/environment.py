"""The environment in which the AWS CLI, boto3 and the CDK CLI use the local cloud."""

from __future__ import annotations

from collections.abc import Mapping

from ingot.localcloud.context import ACCOUNT, REGION

# Variables that would lead a tool elsewhere, or to other credentials.
UNSET = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")

# The CDK CLI caches account numbers per access key in ~/.cdk/cache, so the key must be no other cloud's. moto takes
# only keys of 20 capitals and digits for one.
ACCESS_KEY = "INGOTLOCALCLOUD00001"


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


def no_proxy(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that keep requests to loopback from a proxy that ``environ`` names; none when it names none.

    Python reads the small name first, the CDK CLI too; others know only the large one: both get what either had.
    """
    if not any(environ.get(name) for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")):
        return {}
    had = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    names = [name.strip() for name in had.split(",") if name.strip()]
    value = ",".join([*names, *(name for name in ("localhost", "127.0.0.1") if name not in names)])
    return {"no_proxy": value, "NO_PROXY": value}
