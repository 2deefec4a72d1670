"""Filters of EC2's Describe calls: a name that the call does not know is refused.

moto passes over such a name, or answers with a page of HTML.

The names are those that the API reference lists, as botocore carries it. Sources: EC2 API reference, the
Filters of each call and "Error codes"; EC2 user guide, "List and filter your resources" (at most 200 values).
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from moto.core.utils import get_service_model
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses._base_response import EC2BaseResponse

from localcloud.core.patching import Patches

MOST_VALUES = 200
# Of older API references; EC2 still takes them.
UNLISTED = {
    "DescribeAddresses": ("domain",),
    "DescribeInstances": ("group-id", "group-name"),
    "DescribeNetworkInterfaces": ("group-name",),
    "DescribeVpcs": ("cidr-block", "cidrBlock"),
}
_LISTED = re.compile(r"<li>\s*<p>\s*<code>([^<]+)</code>")
_LETTER = re.compile(r"-([a-z])")
_ALSO = re.compile(r"You can also use ((?:<code>[^<]+</code>(?: or |, )?)+) as the filter name")


def install(patches: Patches) -> None:
    """Put the rules before moto's own reading of filters."""
    patches.replace(
        EC2BaseResponse,
        "_filters_from_querystring",
        lambda original: lambda handler: _checked(handler._get_action(), original(handler)),
    )


def _checked(operation: str, filters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the filters of a request under the names that are listed.

    Raises EC2ClientError for a name that the call does not know, and for too many values.
    """
    known = _names(operation)
    found = {}
    for name, values in filters.items():
        if len(values) > MOST_VALUES:
            raise EC2ClientError(
                "FilterLimitExceeded",
                f"The maximum number of filter values specified on a single call is {MOST_VALUES}",
            )
        listed = "tag" if name.startswith("tag:") else name
        if known and listed not in known:
            raise EC2ClientError("InvalidParameterValue", f"The filter '{name}' is invalid")
        found[known.get(name, name)] = values
    return found


@lru_cache
def _names(operation: str) -> Mapping[str, str]:
    """Return the filters of a call, each with the name that is listed; none for a call that lists none.

    EC2 knows older spellings, such as isDefault for is-default. `tag` stands for tags of all keys.
    """
    shape = get_service_model("ec2").operation_model(operation).input_shape
    members = shape.members if shape is not None else {}
    text = getattr(members.get("Filters") or members.get("Filter"), "documentation", "")
    listed = [html.unescape(name).strip().removesuffix(":<key>") for name in _LISTED.findall(text)]
    if not listed:
        return {}
    also = [name for names in _ALSO.findall(text) for name in re.findall(r"<code>([^<]+)</code>", names)]
    also += UNLISTED.get(operation, ())
    if "tag-key" in listed:
        also.append("tag-value")
    older = {_LETTER.sub(lambda after: after[1].upper(), name): name for name in listed}
    return {**older, **{name: name for name in (*listed, *also)}}
