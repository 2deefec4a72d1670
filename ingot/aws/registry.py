"""The registry: which AMI a recipe digest is, in SSM parameters `/ingot/<recipe>/<digest>`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from ingot.aws import ami, tags
from ingot.aws.failures import code_of
from ingot.aws.image import Published
from ingot.aws.waiting import wait_until
from ingot.errors import PublishError

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

    from ingot.aws.clients import Clients

# Seconds. SSM checks that the AMI exists before the parameter appears:
# https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-ec2-aliases.html
VISIBLE_LIMIT = 120.0


def parameter_name(recipe: str, digest: str) -> str:
    """Return the parameter's name; templates refer to it as `{{resolve:ssm:NAME}}`."""
    return f"/ingot/{recipe}/{digest}"


def lookup(ssm: SSMClient, recipe: str, digest: str) -> str | None:
    """Return the AMI id that the registry holds for a recipe digest; None when it holds none."""
    try:
        return ssm.get_parameter(Name=parameter_name(recipe, digest))["Parameter"]["Value"]
    except ClientError as error:
        if code_of(error) in ("ParameterNotFound", "ParameterVersionNotFound"):
            return None
        raise


def find(clients: Clients, recipe: str, digest: str) -> Published | None:
    """Return the published image of a recipe digest; None when there is none.

    An entry whose AMI is gone counts as none.
    """
    ami_id = lookup(clients.ssm, recipe, digest)
    image = None if ami_id is None else ami.describe(clients, ami_id)
    if image is None or image["State"] not in ("available", "pending"):
        return None
    return ami.as_published(image)


def put(clients: Clients, recipe: str, digest: str, version: str, ami_id: str) -> str:
    """Enter an AMI under a recipe digest, unless another machine was first; return the AMI id that the registry holds.

    Only an entry whose AMI is gone is replaced. Overwrite=False makes the first writer win across machines.
    """
    name = parameter_name(recipe, digest)
    for _ in range(3):
        try:
            clients.ssm.put_parameter(
                Name=name,
                Value=ami_id,
                Type="String",
                DataType="aws:ec2:image",
                Overwrite=False,
                Description=f"Ingot: the AMI of {recipe} {version}",
                Tags=[
                    {"Key": tags.RECIPE, "Value": recipe},
                    {"Key": tags.DIGEST, "Value": digest},
                    {"Key": tags.VERSION, "Value": version},
                ],
            )
        except ClientError as error:
            if code_of(error) != "ParameterAlreadyExists":
                raise
            held = lookup(clients.ssm, recipe, digest)
            if held == ami_id or (held is not None and ami.describe(clients, held) is not None):
                return held
            if held is not None:
                _delete(clients, name)
        else:
            _wait_visible(clients, recipe, digest)
            return ami_id
    raise PublishError(
        f"the registry's entry {name} keeps changing", hint="look who else publishes this recipe"
    )


def _wait_visible(clients: Clients, recipe: str, digest: str) -> None:
    """Wait until SSM has checked the AMI id: templates that refer to the parameter would fail before."""
    name = parameter_name(recipe, digest)
    try:
        wait_until(
            lambda: lookup(clients.ssm, recipe, digest) is not None, f"{name} to appear", limit=VISIBLE_LIMIT
        )
    except TimeoutError as error:
        raise PublishError(
            f"SSM took {name} but does not show it: it could not confirm the AMI ({error})"
        ) from error


def remove(clients: Clients, recipe: str, digest: str, ami_id: str) -> None:
    """Take an AMI out of the registry, if it is what the registry names; an entry that is gone is fine."""
    if lookup(clients.ssm, recipe, digest) == ami_id:
        _delete(clients, parameter_name(recipe, digest))


def _delete(clients: Clients, name: str) -> None:
    try:
        clients.ssm.delete_parameter(Name=name)
    except ClientError as error:
        if code_of(error) != "ParameterNotFound":
            raise
