"""What a stack can see of its region: the Parameter Store, the exports and the outputs of other stacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from localcloud.core.context import CloudContext
from localcloud.services.cloudformation.errors import ResourceFailure
from localcloud.services.cloudformation.resources.base import ApiFailure, Env


@dataclass(frozen=True)
class World:
    """The region of a stack. ``exported`` returns an export's value or None, ``output`` that of a stack's output; it raises CfnError."""

    context: CloudContext
    region: str
    exported: Callable[[str], str | None]
    output: Callable[[str, str], str | None]

    def parameter(self, reference: str) -> str:
        """Return the value of ``NAME`` or ``NAME:VERSION``; raises ResourceFailure in AWS's words when there is none."""
        value = self.stored(reference)
        if value is None:
            raise ResourceFailure(f"Parameters: [ssm:{reference}] cannot be found.")
        return value

    def stored(self, name: str) -> str | None:
        """Return a parameter's value, or None."""
        env = Env(self.context, self.region, "", "", {}, "")
        try:
            return str(env.call("ssm", "get_parameter", Name=name)["Parameter"]["Value"])
        except ApiFailure as error:
            if error.gone:
                return None
            raise
