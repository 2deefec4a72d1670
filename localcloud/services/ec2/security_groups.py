"""Descriptions of security groups and of their rules: EC2 takes few characters.

Source: EC2 API reference, CreateSecurityGroup (GroupDescription) and IpRange (Description).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses.security_groups import SecurityGroups

from localcloud.core.moto_types import Ec2Handler
from localcloud.core.patching import Patches

CHARACTERS = "a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*"
_DESCRIPTION = re.compile(r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]{0,255}")
_RULE_ACTIONS = (
    "authorize_security_group_ingress",
    "authorize_security_group_egress",
    "modify_security_group_rules",
    "update_security_group_rule_descriptions_ingress",
    "update_security_group_rule_descriptions_egress",
)


def install(patches: Patches) -> None:
    """Check the descriptions of groups and of rules."""

    def group(original: Callable[[Ec2Handler], ActionResult]) -> Callable[[Ec2Handler], ActionResult]:
        def create_security_group(handler: Ec2Handler) -> ActionResult:
            _check("security group", str(handler._get_param("Description") or ""))
            return original(handler)

        return create_security_group

    def rules(original: Callable[[Ec2Handler], ActionResult]) -> Callable[[Ec2Handler], ActionResult]:
        def change_rules(handler: Ec2Handler) -> ActionResult:
            for text in _rule_descriptions(handler._get_params()):
                _check("rule", text)
            return original(handler)

        return change_rules

    patches.replace(SecurityGroups, "create_security_group", group)
    for action in _RULE_ACTIONS:
        patches.replace(SecurityGroups, action, rules)


def _rule_descriptions(parameters: object) -> Iterator[str]:
    """Yield the descriptions in a request, wherever they are: in ranges, pairs, prefix lists, or a rule."""
    if isinstance(parameters, Mapping):
        for key, value in parameters.items():
            if key == "Description":
                yield str(value)
            elif key != "TagSpecifications":
                yield from _rule_descriptions(value)
    elif isinstance(parameters, list):
        for value in parameters:
            yield from _rule_descriptions(value)


def _check(what: str, description: str) -> None:
    """Raise EC2ClientError for a description that EC2 refuses."""
    if _DESCRIPTION.fullmatch(description) is None:
        raise EC2ClientError(
            "InvalidParameterValue",
            f"Invalid {what} description. Valid descriptions are strings less than 256 characters from the "
            f"following set: {CHARACTERS}",
        )
