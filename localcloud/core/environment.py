"""The environment in which the AWS CLI, boto3 and the CDK CLI use the local cloud."""

from __future__ import annotations

import os
import re
import secrets
import string
from collections.abc import Callable, Mapping
from pathlib import Path

from ingot.errors import InputError
from ingot.files import write_atomically
from localcloud.core.context import ACCOUNT, REGION

# Variables that would lead a tool elsewhere, or to other credentials.
UNSET = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")

# moto takes only keys of 20 capitals and digits for one. 15 random characters of base 32 are 75 bits.
_PREFIX, _RANDOM = "INGOT", 15
_ALPHABET = string.ascii_uppercase + "234567"

# Below the cloud's directory: EC2's certificate, for which bundles are encrypted. AWS ships its own with its
# AMI tools, under this name. The variable names the file.
CERTIFICATE = "ec2/cert-ec2.pem"
EC2_CERTIFICATE = "INGOT_EC2_CERTIFICATE"

PORT = "INGOT_CLOUD_PORT"
PARENT = "INGOT_CLOUD_PARENT"
URL_PORT = "INGOT_URL_PORT"
DEFAULT_URL_PORT = 8080


def url_port(environ: Mapping[str, str] = os.environ) -> int:
    """Return the port that the first load balancer listens on if it is free.

    Raises InputError when INGOT_URL_PORT names none.
    """
    text = environ.get(URL_PORT) or str(DEFAULT_URL_PORT)
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise InputError(f"{URL_PORT} is {text!r}: not a port from 1 to 65535")
    return int(text)


def wanted_port(environ: Mapping[str, str] = os.environ) -> int | None:
    """Return the port that INGOT_CLOUD_PORT names, None without one. Raises InputError if it is no port."""
    return _wanted(environ, PORT, port_number)


def wanted_parent(environ: Mapping[str, str] = os.environ) -> int | None:
    """Return the process that INGOT_CLOUD_PARENT names, or None. Raises InputError if it is no process id."""
    return _wanted(environ, PARENT, process_id)


def _wanted(environ: Mapping[str, str], variable: str, read: Callable[[str], int]) -> int | None:
    text = environ.get(variable)
    try:
        return read(text) if text else None
    except ValueError as error:
        raise InputError(f"{variable}: {error}") from error


def port_number(text: str) -> int:
    """Return a port that is written out; raise ValueError, which says so, for what is none."""
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise ValueError(f"{text!r} is not a port from 1 to 65535")
    return int(text)


def process_id(text: str) -> int:
    """Return a process id that is written out; raise ValueError, which says so, for what is none."""
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{text!r} is not the id of a process")
    return int(text)


def access_key(directory: Path) -> str:
    """Return the access key of the cloud in ``directory``: the secret that tells its user from a web page.

    It is made once and stays, so that shells and the CDK CLI's cache of accounts outlive a restart of the
    cloud.
    """
    file = directory / "access-key"
    try:
        key = file.read_text(encoding="ascii").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        key = ""
    if not re.fullmatch(rf"{_PREFIX}[{_ALPHABET}]{{{_RANDOM}}}", key):
        key = _PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))
        write_atomically(file, key + "\n", mode=0o600)
    return key


def variables(port: int, access_key: str) -> dict[str, str]:
    """Return the variables for a cloud on ``port`` with that key."""
    endpoint = f"http://localhost:{port}"
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ENDPOINT_URL_S3": endpoint,
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": "the-local-cloud-knows-you-by-the-key-id",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "CDK_DEFAULT_ACCOUNT": ACCOUNT,
        "CDK_DEFAULT_REGION": REGION,
    }
