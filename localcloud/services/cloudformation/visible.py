"""What the functions in a stack's template can see."""

from __future__ import annotations

from localcloud.core.moto_types import Value
from localcloud.services.cloudformation.errors import CfnError
from localcloud.services.cloudformation.functions import NO_VALUE, Scope
from localcloud.services.cloudformation.model import Desired, Resource, Stack
from localcloud.services.cloudformation.world import World


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
                f"Template error: resource {name} does not support attribute type {attribute_name} in Fn::GetAtt"
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
