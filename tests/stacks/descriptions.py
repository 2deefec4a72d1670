"""Descriptions of security groups and of their rules, for which EC2 takes few characters."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

# EC2 API reference, CreateSecurityGroup (GroupDescription) and IpRange (Description).
EC2_DESCRIPTION = re.compile(r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]{0,255}")


def security_group_descriptions(template: Mapping[str, Any]) -> list[str]:
    """Return the descriptions of all security groups of a template and of their rules."""
    return [
        text
        for resource in template["Resources"].values()
        if resource["Type"].startswith("AWS::EC2::SecurityGroup")
        for text in _descriptions(resource["Properties"])
    ]


def _descriptions(properties: Mapping[str, Any]) -> Iterator[str]:
    for key in ("GroupDescription", "Description"):
        if key in properties:
            yield str(properties[key])
    for key in ("SecurityGroupIngress", "SecurityGroupEgress"):
        for rule in properties.get(key, []):
            yield from _descriptions(rule)
