"""What can be configured: the CDK context keys, their defaults and their checks."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ingot.errors import InputError


def _text(pattern: str, expected: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if not isinstance(value, str) or re.fullmatch(pattern, value) is None:
            raise ValueError(expected)
        return value

    return read


def _number(low: int, high: int) -> Callable[[object], int]:
    """Whole numbers; `-c key=value` gives text, cdk.json gives JSON numbers."""

    def read(value: object) -> int:
        if isinstance(value, bool) or re.fullmatch(r"[0-9]{1,9}(\.0)?", str(value)) is None:
            raise ValueError(f"a whole number from {low} to {high}")
        number = int(float(str(value)))
        if not low <= number <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return number

    return read


def _flag(value: object) -> bool:
    if value in (True, "true"):
        return True
    if value in (False, "false"):
        return False
    raise ValueError("true or false")


def _network(value: object) -> str:
    """A VPC's addresses. Amazon VPC User Guide, "VPC CIDR blocks": /16 to /28; ours need room for four subnets."""
    expected = "an IPv4 network from /16 to /24 such as 172.20.0.0/16"
    try:
        network = ipaddress.IPv4Network(value if isinstance(value, str) else "")
    except ValueError as error:
        raise ValueError(expected) from error
    if not 16 <= network.prefixlen <= 24:
        raise ValueError(expected)
    return str(network)


_INSTANCE_TYPE = _text(r"[a-z][a-z0-9-]*\.[a-z0-9-]+", "an EC2 instance type such as t3.small")


def _key(default: object, read: Callable[[object], Any], help_: str) -> Any:  # noqa: ANN401 - as dataclasses.field: the type is the key's
    return field(default=default, metadata={"read": read, "help": help_})


@dataclass(frozen=True)
class Config:
    """One deployment's settings. Each field is a context key: `-c KEY=VALUE`, or `context` in cdk.json."""

    recipe: str = _key(
        "web", _text(r"[a-z][a-z0-9-]{0,39}", "a recipe's name"), "the recipe whose clones the fleet runs"
    )
    # A word of its own from the first day, so that `instance` will be one more choice and not another key.
    builder: str = _key(
        "host",
        _text("host", "host, the machine that deploys; a builder instance cannot bake yet"),
        "where images are baked",
    )
    instance_type: str = _key("t3.small", _INSTANCE_TYPE, "the clones' instance type")
    builder_instance_type: str = _key("c7i.large", _INSTANCE_TYPE, "the builder instance's type")
    min_clones: int = _key(2, _number(0, 1000), "the group's minimum")
    max_clones: int = _key(4, _number(1, 1000), "the group's maximum")
    desired_clones: int | None = _key(
        None,
        _number(0, 1000),
        "the group's size, set anew by each deployment; default: left as it is, at first the minimum",
    )
    health_path: str = _key(
        "/healthz", _text(r"/[!-~]{0,1023}", "a path that begins with /"), "answers 200 when a clone is well"
    )
    health_grace_seconds: int = _key(300, _number(0, 7200), "how long a new clone may take until it is well")
    warm_up_seconds: int = _key(30, _number(0, 3600), "how long a new clone serves before an old one goes")
    deregistration_seconds: int = _key(
        15, _number(0, 3600), "how long a clone that goes may finish its requests"
    )
    refresh_max_healthy_percentage: int = _key(
        200,
        _number(100, 200),
        "how far an instance refresh may exceed the group's size; 150: half of the clones at a time",
    )
    internet_facing: bool = _key(True, _flag, "whether the load balancer has public addresses")
    egress: bool = _key(False, _flag, "whether clones may reach the Internet, by a NAT gateway")
    vpc_cidr: str = _key(
        "172.20.0.0/16", _network, "the fleet's addresses; the local cloud needs them within 160.0.0.0/4"
    )
    builder_vpc_cidr: str = _key("172.21.0.0/24", _network, "the builder's addresses; likewise")
    account: str | None = _key(
        None,
        _text(r"[0-9]{12}", "an AWS account id of 12 digits"),
        "default: the caller's, CDK_DEFAULT_ACCOUNT",
    )
    region: str | None = _key(
        None,
        _text(r"[a-z]{2}(-[a-z]+)+-[0-9]", "an AWS region such as eu-central-1"),
        "default: the caller's, CDK_DEFAULT_REGION",
    )

    @classmethod
    def read(cls, context: Mapping[str, object], environment: Mapping[str, str] = os.environ) -> Config:
        """Return the settings that ``context`` gives, defaults elsewhere; raise InputError with every problem."""
        values: dict[str, Any] = {
            "account": environment.get("CDK_DEFAULT_ACCOUNT") or None,
            "region": environment.get("CDK_DEFAULT_REGION") or None,
        }
        problems = []
        for key in fields(cls):
            found = context.get(key.name)
            if found is None:
                continue
            try:
                values[key.name] = key.metadata["read"](found)
            except ValueError as expected:
                problems.append(f"context key {key.name}: found {found!r}, expected {expected}")
        if not problems:
            config = cls(**values)
            problems = config._contradictions()
        if problems:
            raise InputError(
                "\n".join(problems),
                hint="docs/constructs.md lists the keys; set them with -c KEY=VALUE or in cdk.json under context",
            )
        return config

    def _contradictions(self) -> list[str]:
        wanted = self.min_clones if self.desired_clones is None else self.desired_clones
        if self.min_clones <= wanted <= self.max_clones:
            return []
        return [
            f"context keys min_clones, desired_clones, max_clones: found {self.min_clones}, {wanted}, {self.max_clones}, "
            "expected min_clones <= desired_clones <= max_clones"
        ]
