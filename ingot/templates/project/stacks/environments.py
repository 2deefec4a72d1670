"""Where the stacks are deployed, and how large: the values of one environment in environments.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import aws_cdk as cdk
from ingot.errors import InputError
from ruamel.yaml import YAML

FILE = Path("environments.yaml")
# `store` and `store_owner` are for ingot itself: the store that machines share.
KEYS = {"defaults", "environments", "store", "store_owner"}


@dataclass(frozen=True)
class Environment:
    """One environment, or the defaults alone (``name`` None). Without account and region, the stacks go where
    the caller's credentials lead.
    """

    name: str | None
    min_clones: int = 1
    max_clones: int = 2
    instance_type: str = "t3.small"
    account: str | None = None
    region: str | None = None

    @property
    def suffix(self) -> str:
        """What the names of this environment's stacks end with."""
        return "" if self.name is None else f"-{self.name}"

    @property
    def place(self) -> cdk.Environment:
        """The account and region for a stack."""
        return cdk.Environment(account=self.account, region=self.region)


def read_environment(name: str | None) -> Environment:
    """Return the environment of that name, or the defaults. Raises InputError if there is none, or if it has
    unknown keys.
    """
    content = YAML(typ="safe").load(FILE) or {}
    unknown = ", ".join(sorted(content.keys() - KEYS))
    if unknown:
        raise InputError(f"{FILE}: unknown keys: {unknown}", hint=f"the file has: {', '.join(sorted(KEYS))}")
    environments = content.get("environments") or {}
    if name is not None and name not in environments:
        known = ", ".join(environments) or "none"
        raise InputError(f"{FILE}: there is no environment {name!r}", hint=f"the file has: {known}")
    own = {} if name is None else environments[name] or {}
    try:
        return Environment(name, **{**(content.get("defaults") or {}), **own})
    except TypeError as error:
        raise InputError(f"{FILE}: {name or 'defaults'}: {error}") from error
