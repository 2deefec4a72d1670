"""Where the stacks are deployed, and how large: the values of one environment in environments.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import aws_cdk as cdk
from ingot.errors import InputError
from ruamel.yaml import YAML

FILE = Path("environments.yaml")
DEFAULT = "default"


@dataclass(frozen=True)
class Environment:
    """One environment. Without account and region, the stacks go where the caller's credentials lead."""

    name: str
    min_clones: int = 1
    max_clones: int = 2
    instance_type: str = "t3.small"
    account: str | None = None
    region: str | None = None

    @property
    def suffix(self) -> str:
        """What the names of this environment's stacks end with."""
        return "" if self.name == DEFAULT else f"-{self.name}"

    @property
    def place(self) -> cdk.Environment:
        """The account and region for a stack."""
        return cdk.Environment(account=self.account, region=self.region)


def read_environment(name: str | None) -> Environment:
    """Return the environment of that name. Raises InputError if there is none, or if it has unknown keys."""
    environments = YAML(typ="safe").load(FILE) or {}
    name = name or DEFAULT
    if name not in environments:
        known = ", ".join(environments)
        raise InputError(f"{FILE}: there is no environment {name!r}", hint=f"the file has: {known}")
    try:
        return Environment(name, **(environments[name] or {}))
    except TypeError as error:
        raise InputError(f"{FILE}: {name}: {error}") from error
