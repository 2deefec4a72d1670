"""The registry's entries: SSM parameters `/ingot/<recipe>/<digest>` that hold an AMI id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from ingot.aws.registry.amis import describe_usable
from ingot.aws.session import tags
from ingot.aws.session.failures import code_of
from ingot.aws.session.waiting import wait_until
from ingot.errors import PublishError
from ingot.recipe.asset import registry_parameter
from ingot.retry import SETTLING

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_ssm.type_defs import PutParameterRequestTypeDef

    from ingot.aws.session.clients import Clients

# Seconds. SSM checks that the AMI exists before the parameter appears:
# https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-ec2-aliases.html
VISIBLE_LIMIT = 2 * SETTLING
# Seconds in which an entry that another machine is making must be there, or be gone.
SETTLE_LIMIT = 3 * SETTLING
BATCH = 10  # names that GetParameters takes: its API reference


@dataclass(frozen=True)
class RegistryEntry:
    """What the registry holds for a recipe digest. ``account``: whose registry it is."""

    name: str
    ami_id: str
    account: str


def read(ssm: SSMClient, recipe: str, digest: str) -> RegistryEntry | None:
    """Return the registry's entry for a recipe digest; None when there is none."""
    name = registry_parameter(recipe, digest)
    try:
        parameter = ssm.get_parameter(Name=name)["Parameter"]
    except ClientError as error:
        if code_of(error) in ("ParameterNotFound", "ParameterVersionNotFound"):
            return None
        raise
    # arn:aws:ssm:REGION:ACCOUNT:parameter/…: the account without a call of its own.
    return RegistryEntry(name, parameter["Value"], parameter["ARN"].split(":")[4])


def lookup(ssm: SSMClient, recipe: str, digest: str) -> str | None:
    """Return the AMI id that the registry holds for a recipe digest, unchecked; None without one."""
    entry = read(ssm, recipe, digest)
    return None if entry is None else entry.ami_id


def lookup_all(ssm: SSMClient, wanted: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Return the AMI ids that the registry holds for recipes and digests, unchecked; some may have none."""
    names = {registry_parameter(*one): one for one in wanted}
    held = {}
    listed = list(names)
    for start in range(0, len(listed), BATCH):
        for parameter in ssm.get_parameters(Names=listed[start : start + BATCH])["Parameters"]:
            held[names[parameter["Name"]]] = parameter["Value"]
    return held


def put(clients: Clients, recipe: str, digest: str, version: str, ami_id: str) -> str:
    """Enter an AMI under a recipe digest, unless another machine was first; return the AMI id that the
    registry holds.

    Overwrite=False makes the first writer win across machines. Only an entry whose AMI is gone is replaced,
    by writing over it: AWS asks for 30 s between deleting a name and using it again. Raises PublishError when
    the entry does not come to rest.
    """
    entry = _NewEntry(recipe, digest, version, ami_id)
    held = ""

    def settled() -> bool:
        nonlocal held
        if _create(clients, entry):
            held = ami_id
            _wait_visible(clients, recipe, digest)
            return True
        named = lookup(clients.ssm, recipe, digest)
        if named is None:
            return False  # another machine's value, which SSM still checks; or it was deleted this instant
        if named != ami_id and describe_usable(clients, named) is None:
            clients.ssm.put_parameter(**entry.request(overwrite=True))
            # Of two machines that repair it at once, the last one's value stays: that is what is read back.
            named = _wait_visible(clients, recipe, digest, but=named)
        held = named
        return True

    try:
        wait_until(settled, f"{entry.name} to come to rest", limit=SETTLE_LIMIT)
    except TimeoutError as error:
        raise PublishError(
            f"the registry's entry {entry.name} keeps changing: {error}",
            hint="find out who else publishes this recipe",
        ) from error
    return held


@dataclass(frozen=True)
class _NewEntry:
    recipe: str
    digest: str
    version: str
    ami_id: str

    @property
    def name(self) -> str:
        return registry_parameter(self.recipe, self.digest)

    def request(self, *, overwrite: bool) -> PutParameterRequestTypeDef:
        return {
            "Name": self.name,
            "Value": self.ami_id,
            "Type": "String",
            "DataType": "aws:ec2:image",
            "Overwrite": overwrite,
            "Description": f"Ingot: the AMI of {self.recipe} {self.version}",
        }


def _create(clients: Clients, entry: _NewEntry) -> bool:
    """Make the entry; say whether there was none."""
    request = entry.request(overwrite=False)
    # Only a new entry is given tags: PutParameter refuses them together with Overwrite.
    request["Tags"] = [
        {"Key": tags.RECIPE, "Value": entry.recipe},
        {"Key": tags.DIGEST, "Value": entry.digest},
        {"Key": tags.VERSION, "Value": entry.version},
    ]
    try:
        clients.ssm.put_parameter(**request)
    except ClientError as error:
        if code_of(error) != "ParameterAlreadyExists":
            raise
        return False
    return True


def _wait_visible(clients: Clients, recipe: str, digest: str, *, but: str | None = None) -> str:
    """Wait until SSM has checked the AMI id, and return what it shows then: templates that refer to it would
    fail before.

    ``but``: the value that it showed before and shows until the new one is checked.
    """
    name = registry_parameter(recipe, digest)
    shown = ""

    def visible() -> bool:
        nonlocal shown
        shown = lookup(clients.ssm, recipe, digest) or ""
        return shown not in ("", but)

    try:
        wait_until(visible, f"{name} to appear", limit=VISIBLE_LIMIT)
    except TimeoutError as error:
        raise PublishError(
            f"SSM took {name} but does not show it: it could not confirm the AMI ({error})"
        ) from error
    return shown


def entry(recipe: str, digest: str, ami_id: str) -> str:
    """Return how a journal names an AMI's entry: the parameter and the AMI id that it will hold."""
    return f"{registry_parameter(recipe, digest)}={ami_id}"


def remove_entry(clients: Clients, named: str) -> None:
    """Take back what ``entry`` named; a parameter that is gone, or holds another AMI, is left as it is."""
    name, _, ami_id = named.partition("=")
    _, _, recipe, digest = name.split("/")
    remove(clients, recipe, digest, ami_id)


def remove(clients: Clients, recipe: str, digest: str, ami_id: str) -> None:
    """Take an AMI out of the registry, if it is what the registry names; an entry that is gone is fine."""
    if lookup(clients.ssm, recipe, digest) == ami_id:
        _delete(clients, registry_parameter(recipe, digest))


def _delete(clients: Clients, name: str) -> None:
    try:
        clients.ssm.delete_parameter(Name=name)
    except ClientError as error:
        if code_of(error) != "ParameterNotFound":
            raise
