"""CloudFormation by an engine of our own in the place of moto's.

It has AWS's order, states, events and roll-backs.

::

    template/   parsing      text → mapping; what it must have
                functions    intrinsic functions and conditions
                references   which resources need which; dynamic references to parameters and secrets
                parameters   the values of a template's parameters
                properties   each resource's properties against AWS's schema of its type
    engine/     model        stack, resource, event, change set
                scope        what a template's functions can see
                changes      what a change set would do
                deployment   one operation on one stack: create, update, delete, roll back
                stacks       all stacks: look-up, checks, threads
    api/        request, actions, views: the API, in moto's request and response machinery
    resources/  what each resource type does: a function each to create, update and delete, by boto3 calls
"""
