"""What deployed stacks say of themselves: their outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from ingot.aws.session.failures import code_of

if TYPE_CHECKING:
    from ingot.aws.session.clients import Clients


def stack_outputs(clients: Clients, stack: str) -> dict[str, str] | None:
    """Return the outputs of a deployed stack; None when there is no such stack."""
    try:
        stacks = clients.cloudformation.describe_stacks(StackName=stack)["Stacks"]
    except ClientError as error:
        if code_of(error) == "ValidationError" and "does not exist" in str(error):
            return None
        raise
    return {out["OutputKey"]: out["OutputValue"] for out in stacks[0].get("Outputs", [])} if stacks else None
