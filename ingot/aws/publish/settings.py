"""What a publish needs to know about the account: the outputs of the builder's stack."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from ingot.aws.publish.parent import ManifestOf
from ingot.aws.session.failures import code_of
from ingot.errors import PublishError

if TYPE_CHECKING:
    from ingot.aws.session.clients import Clients


@dataclass(frozen=True)
class CloneSettings:
    """How test clones are launched: the launch template and the subnets of the builder's stack."""

    launch_template_id: str
    subnet_ids: tuple[str, ...]
    # Seconds from launch to the clone's last word. A clone on EC2 needs less than one minute; one that QEMU emulates in full
    # on two busy cores needs about two.
    limit: float = 900.0


@dataclass(frozen=True)
class BuilderSettings:
    """How a builder instance is launched: from the builder's stack.

    ``image``: what it boots, an AMI id, the name of an SSM parameter that holds one (it begins with a slash), or the name of a
    published recipe. The limits are seconds: until its first word, between two words, and for all its work; the last one is
    also when it ends itself.
    """

    launch_template_id: str
    subnet_ids: tuple[str, ...]
    bucket: str
    log_group: str
    image: str
    # EC2 boots Debian in less than a minute; QEMU without KVM takes about one. A builder without a way out needs four to say so.
    boot_limit: float = 600.0
    silence_limit: float = 1800.0
    limit: float = 7200.0


@dataclass(frozen=True)
class StackDefaults:
    """What the builder's stack says where the caller does not: ``mode`` (auto, host, instance) and the builder's image."""

    mode: str
    image: str


def stack_defaults(clients: Clients, stack: str) -> StackDefaults:
    """Read them from the builder's stack; raise PublishError when it is not deployed."""
    outputs = _outputs(clients, stack, ("TestLaunchTemplateId",))
    return StackDefaults(outputs.get("BuilderMode", "host"), outputs.get("BuilderImage", ""))


def _forget(_manifest: dict[str, Any]) -> None:
    """Keep no manifest."""


def _no_manifest(_digest: str) -> Mapping[str, Any] | None:
    return None


@dataclass(frozen=True)
class PublishSettings:
    """``records``: the store's directory of journals. ``manifest_of``: gives the manifest of an older image.

    ``keep_manifest`` takes the manifest of an image that a builder made.

    ``clone`` None publishes without a test clone; the registry then does not name the AMI. ``pace`` scales the pauses
    between retries.
    """

    records: Path
    clone: CloneSettings | None
    manifest_of: ManifestOf = field(default=_no_manifest)
    keep_manifest: Callable[[dict[str, Any]], None] = field(default=_forget)
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


def clone_settings(clients: Clients, stack: str) -> CloneSettings:
    """Read how to launch test clones from the builder's stack; raise PublishError when it is not deployed."""
    outputs = _outputs(clients, stack, ("TestLaunchTemplateId", "SubnetIds"))
    return CloneSettings(outputs["TestLaunchTemplateId"], _subnets(outputs))


def builder_settings(clients: Clients, image: str, stack: str) -> BuilderSettings:
    """Read how to launch builders that boot ``image`` from the builder's stack; raise PublishError when it is not deployed."""
    keys = ("BuilderLaunchTemplateId", "SubnetIds", "BundleBucketName", "LogGroupName")
    outputs = _outputs(clients, stack, keys)
    return BuilderSettings(
        launch_template_id=outputs["BuilderLaunchTemplateId"],
        subnet_ids=_subnets(outputs),
        bucket=outputs["BundleBucketName"],
        log_group=outputs["LogGroupName"],
        image=image,
    )


def _subnets(outputs: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(part.strip() for part in outputs["SubnetIds"].split(",") if part.strip())


def _outputs(clients: Clients, stack: str, keys: tuple[str, ...]) -> dict[str, str]:
    outputs = stack_outputs(clients, stack)
    missing = [key for key in keys if not (outputs or {}).get(key)]
    if outputs is None or missing:
        what = "is not deployed" if outputs is None else f"lacks the outputs {', '.join(missing)}"
        raise PublishError(
            f"{'the builder instance' if 'BundleBucketName' in keys else 'the test clone'} needs the stack {stack}, "
            f"which {what} in {clients.region}",
            hint=f"deploy it first: cdk deploy {stack}",
        )
    return outputs
