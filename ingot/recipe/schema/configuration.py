"""``configuration``: the values that a clone gets when it boots, and who may read them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ingot.recipe.schema.parts import Part
from ingot.recipe.schema.values import Name, OctalMode, SecretName, UnitName, VariableName
from ingot.recipe.syntax.explain import wrong


class SecretFile(Part):
    """A secret of a clone: the file /run/ingot/secrets/NAME."""

    owner: Name = "root"
    """Owner of the file."""
    group: Name = "root"
    """Group of the file."""
    mode: OctalMode = "0400"
    """Four octal digits in quotes."""
    example: str = ""
    """What test clones and `ingot boot` have in its place. It is in the image: no secret."""


class Configuration(Part):
    """What a clone is told when it boots: the fleet says the values, the image only their names."""

    environment: dict[VariableName, str] = Field(default={})
    """Variables in /run/ingot/environment, each with the value that test clones and `ingot boot` have."""
    secrets: dict[SecretName, SecretFile] = Field(default={})
    """Files in /run/ingot/secrets, by name."""
    services: tuple[UnitName, ...] = ()
    """Services that start when the configuration is there, with the variables in their environment."""
    owner: Name = "root"
    """Owner of /run/ingot/environment."""
    group: Name = "root"
    """Group of /run/ingot/environment."""
    mode: OctalMode = "0400"
    """Mode of /run/ingot/environment: four octal digits in quotes."""
    refresh: Annotated[int, Field(ge=60, le=604800)] | None = None
    """Seconds after which values are fetched again, and so on. Default: at boot only."""
    on_change: Literal["nothing", "restart", "reload"] = "nothing"
    """What happens to `services` when a refresh brought other values."""

    @model_validator(mode="after")
    def _check_values(self) -> Configuration:
        if not (self.environment or self.secrets):
            raise wrong("a configuration without values", "environment or secrets")
        return self
