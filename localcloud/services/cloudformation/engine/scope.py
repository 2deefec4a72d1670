"""What a template's functions can see.

The stack itself, and of its region the parameters, exports and other stacks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from localcloud.core.context import CloudContext
from localcloud.core.moto_types import Value
from localcloud.services.cloudformation.engine.model import Desired, Resource, Stack
from localcloud.services.cloudformation.errors import CfnError, ResourceFailure
from localcloud.services.cloudformation.resources.base import ApiFailure, Env
from localcloud.services.cloudformation.template.functions import NO_VALUE, Scope


@dataclass(frozen=True)
class World:
    """The region of a stack.

    ``exported`` returns an export's value or None, ``output`` that of a stack's output; it raises CfnError.
    """

    context: CloudContext
    region: str
    exported: Callable[[str], str | None]
    output: Callable[[str, str], str | None]

    def parameter(self, reference: str) -> str:
        """Return the value of ``NAME`` or ``NAME:VERSION``.

        Raises ResourceFailure in AWS's words when there is none.
        """
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


def scope_of(stack: Stack, desired: Desired, world: World) -> Scope:
    """Return the scope of the stack's template: pseudo parameters, parameters, resources, exports."""
    context = world.context
    names = {
        "AWS::AccountId": context.account,
        "AWS::NoValue": NO_VALUE,
        "AWS::NotificationARNs": [],
        "AWS::Partition": "aws",
        "AWS::Region": world.region,
        "AWS::StackId": stack.id,
        "AWS::StackName": stack.name,
        "AWS::URLSuffix": "amazonaws.com",
        **{name: parameter.value for name, parameter in desired.parameters.items()},
    }

    def found(name: str) -> Resource:
        if name not in stack.resources:
            raise CfnError(
                f"Template format error: Unresolved resource dependencies [{name}] in the template"
            )
        return stack.resources[name]

    def attribute(name: str, attribute_name: str) -> Value:
        resource = found(name)
        if attribute_name not in resource.attributes:
            raise CfnError(
                f"Template error: resource {name} does not support attribute type {attribute_name} in "
                "Fn::GetAtt"
            )
        return resource.attributes[attribute_name]

    return Scope(
        desired.template,
        names,
        lambda name: found(name).physical_id,
        attribute,
        world.exported,
        world.output,
    )
