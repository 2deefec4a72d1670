"""What a publish needs to know about the account: the outputs of the builder's stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from ingot.aws.failures import code_of
from ingot.aws.parent import ManifestOf
from ingot.errors import PublishError

if TYPE_CHECKING:
    from ingot.aws.clients import Clients

BUILDER_STACK = "IngotBuilder"


@dataclass(frozen=True)
class CloneSettings:
    """How test clones are launched: the launch template and the subnets of the builder's stack."""

    launch_template_id: str
    subnet_ids: tuple[str, ...]
    # Seconds from launch to the clone's last word. A clone on EC2 needs less than one minute; one that QEMU emulates in full
    # on two busy cores needs about two.
    limit: float = 900.0


def _no_manifest(_digest: str) -> Mapping[str, Any] | None:
    return None


@dataclass(frozen=True)
class PublishSettings:
    """``records``: the store's directory of journals. ``manifest_of``: gives the manifest of an older image of the store.

    ``clone`` None publishes without a test clone; the registry then does not name the AMI. ``pace`` scales the pauses
    between retries.
    """

    records: Path
    clone: CloneSettings | None
    manifest_of: ManifestOf = field(default=_no_manifest)
    pace: float = 1.0


def stack_outputs(clients: Clients, stack: str) -> dict[str, str] | None:
    """Return the outputs of a deployed stack; None when there is no such stack."""
    try:
        stacks = clients.cloudformation.describe_stacks(StackName=stack)["Stacks"]
    except ClientError as error:
        if code_of(error) == "ValidationError" and "does not exist" in str(error):
            return None
        raise
    return {out["OutputKey"]: out["OutputValue"] for out in stacks[0].get("Outputs", [])} if stacks else None


def clone_settings(clients: Clients, stack: str = BUILDER_STACK) -> CloneSettings:
    """Read how to launch test clones from the builder's stack; raise PublishError when it is not deployed."""
    outputs = stack_outputs(clients, stack)
    missing = [key for key in ("TestLaunchTemplateId", "SubnetIds") if not (outputs or {}).get(key)]
    if outputs is None or missing:
        what = "is not deployed" if outputs is None else f"lacks the outputs {', '.join(missing)}"
        raise PublishError(
            f"the test clone needs the stack {stack}, which {what} in {clients.region}",
            hint=f"deploy it first: cdk deploy {stack}",
        )
    subnets = tuple(part.strip() for part in outputs["SubnetIds"].split(",") if part.strip())
    return CloneSettings(outputs["TestLaunchTemplateId"], subnets)
