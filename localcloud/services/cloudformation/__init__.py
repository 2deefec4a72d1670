"""CloudFormation: an engine of our own in the place of moto's, with AWS's order, states, events and roll-backs.

::

    template      text → mapping; what it must have
    functions     intrinsic functions and conditions
    references    which resources need which; dynamic references to the Parameter Store
    parameters    the values of a template's parameters
    model         stack, resource, event, change set
    changes       what a change set would do
    deployment    one operation on one stack: create, update, delete, roll back
    stacks        all stacks: look-up, checks, threads
    visible       what a template's functions can see
    request, api  the actions, in moto's request and response machinery; views: their answers
    resources/    what each resource type does: one function each to create, update and delete, by boto3 calls to this cloud
"""

from __future__ import annotations

from localcloud.core.context import CloudContext


def install(context: CloudContext) -> None:
    """Put our actions in the place of moto's."""
    from localcloud.services.cloudformation import api

    api.install(context)
