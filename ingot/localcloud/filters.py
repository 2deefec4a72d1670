"""Filters of EC2's Describe calls: a name that the call does not know is refused, which moto passes over or answers with a page of HTML.

The names are those that the API reference lists, as botocore carries it. Sources: EC2 API reference, the Filters of each call
and "Error codes"; EC2 user guide, "List and filter your resources" (at most 200 values).
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from moto.core.utils import get_service_model
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses._base_response import EC2BaseResponse

from ingot.localcloud.moto_types import Moto

MOST_VALUES = 200
_FILTERS: Callable[[Moto], dict[str, Any]] = EC2BaseResponse._filters_from_querystring
_LISTED = re.compile(r"<li>\s*<p>\s*<code>([^<]+)</code>")
_ALSO = re.compile(r"You can also use ((?:<code>[^<]+</code>(?: or |, )?)+) as the filter name")


def install() -> None:
    """Put the rules before moto's own reading of filters."""
    EC2BaseResponse._filters_from_querystring = _filters


def _filters(handler: Moto) -> dict[str, Any]:
    """Return the filters of a request. Raises EC2ClientError for a name that the call does not know, and for too many values."""
    found = _FILTERS(handler)
    known = _names(handler._get_action())
    for name, values in found.items():
        if known and not name.startswith("tag:") and _plain(name) not in known:
            raise EC2ClientError("InvalidParameterValue", f"The filter '{name}' is invalid")
        if len(values) > MOST_VALUES:
            raise EC2ClientError(
                "FilterLimitExceeded",
                f"The maximum number of filter values specified on a single call is {MOST_VALUES}",
            )
    return found


@lru_cache
def _names(operation: str) -> frozenset[str]:
    """Return the filters that a call lists; none for one that lists none."""
    shape = get_service_model("ec2").operation_model(operation).input_shape
    members = shape.members if shape is not None else {}
    text = getattr(members.get("Filters") or members.get("Filter"), "documentation", "")
    also = (name for names in _ALSO.findall(text) for name in re.findall(r"<code>([^<]+)</code>", names))
    return frozenset(_plain(html.unescape(name)) for name in (*_LISTED.findall(text), *also))


def _plain(name: str) -> str:
    """Return a name without its hyphens: EC2 knows older spellings, such as isDefault for is-default."""
    return name.replace("-", "").lower()
