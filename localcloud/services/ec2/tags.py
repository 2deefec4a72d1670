"""Tags of EC2's resources.

Sources: EC2 user guide, "Tag restrictions"; EC2 API reference, CreateTags and "Tag".
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError, InvalidID
from moto.ec2.responses.tags import TagResponse

from localcloud.core.moto_types import Ec2Backend, Ec2Handler
from localcloud.core.patching import Patches

LONGEST_KEY, LONGEST_VALUE = 127, 256  # characters

# Kinds of resources that moto tags without a look whether they exist -> the ids that exist.
_UNCHECKED: Mapping[str, Callable[[Ec2Backend], Collection[str]]] = {
    "nat": lambda backend: backend.nat_gateways,
    "eipalloc": lambda backend: {address.allocation_id for address in backend.describe_addresses()},
    "vpce": lambda backend: backend.vpc_end_points,
    "fl": lambda backend: backend.flow_logs,
    "acl": lambda backend: backend.network_acls,
}


def install(patches: Patches) -> None:
    """Check CreateTags: keys and values have a length, the prefix aws.

    Is AWS's own, and what is tagged exists.
    """

    def checked(original: Callable[[Ec2Handler], ActionResult]) -> Callable[[Ec2Handler], ActionResult]:
        def create_tags(handler: Ec2Handler) -> ActionResult:
            check_tags(handler._get_param("Tags", []))
            for resource_id in handler._get_param("Resources", []):
                _check_exists(handler.ec2_backend, str(resource_id))
            return original(handler)

        return create_tags

    patches.replace(TagResponse, "create_tags", checked)


def check_tags(tags: Iterable[Mapping[str, Any]]) -> None:
    """Raise EC2ClientError for a tag that is too long or has AWS's own prefix."""
    for tag in tags:
        key, value = str(tag.get("Key", "")), str(tag.get("Value", ""))
        if key.lower().startswith("aws:"):
            raise EC2ClientError(
                "InvalidParameterValue", "Tag keys starting with 'aws:' are reserved for internal use"
            )
        if len(key) > LONGEST_KEY or len(value) > LONGEST_VALUE:
            raise EC2ClientError(
                "InvalidParameterValue",
                f"Tag {key[:20]}… exceeds {LONGEST_KEY} characters of a key or {LONGEST_VALUE} of a value",
            )


def _check_exists(backend: Ec2Backend, resource_id: str) -> None:
    """Raise EC2's error for an id that names nothing. moto looks for most other kinds of resources itself."""
    kind = resource_id.rpartition("-")[0]
    if kind == "i":
        backend.get_instance(resource_id)
    elif kind == "eni":
        backend.get_network_interface(resource_id)
    elif kind in _UNCHECKED and resource_id not in _UNCHECKED[kind](backend):
        raise InvalidID(resource_id)
