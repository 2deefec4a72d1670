"""What a publish needs to know: where its records are, and how test clones are launched."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingot.aws.publish.blocks import BlockMap
from ingot.aws.registry.published import ManifestOf, no_manifest
from ingot.aws.session.stacks import stack_outputs
from ingot.errors import PublishError

if TYPE_CHECKING:
    from ingot.aws.instance_store.images import BundleSettings
    from ingot.aws.session.clients import Clients


@dataclass(frozen=True)
class CloneSettings:
    """How test clones are launched: the launch template and the subnets of the builder's stack."""

    launch_template_id: str
    subnet_ids: tuple[str, ...]
    # Seconds from launch to the clone's last word. A clone on EC2 needs less than one minute; one that QEMU
    # emulates in full on two busy cores needs about two.
    limit: float = 900.0


def _forget(_manifest: dict[str, Any]) -> None:
    """Keep no manifest."""


def _believe(_snapshot_id: str, _blocks: BlockMap) -> None:
    """Take a snapshot as it was sent: EBS has compared the checksums."""


@dataclass(frozen=True)
class PublishSettings:
    """``records``: the store's directory of journals. ``manifest_of``: gives the manifest of an older image.

    ``keep_manifest`` takes the manifest of an image that a builder made.

    ``clone`` None publishes without a test clone; the registry then does not name the AMI. ``pace`` scales
    the pauses between retries.

    ``archive``: where the image was restored from, for the tags. ``check_snapshot`` is called with a
    completed snapshot and the blocks that it must have, before an AMI of it is registered or, if there is an
    untested one, tested; what it raises ends the publish.

    ``bundles``: for images with their root on an instance store.
    """

    records: Path
    clone: CloneSettings | None
    manifest_of: ManifestOf = field(default=no_manifest)
    keep_manifest: Callable[[dict[str, Any]], None] = field(default=_forget)
    pace: float = 1.0
    archive: str | None = None
    check_snapshot: Callable[[str, BlockMap], None] = field(default=_believe)
    bundles: BundleSettings | None = None


def clone_settings(clients: Clients, stack: str) -> CloneSettings:
    """Read how to launch test clones from the builder's stack; raise PublishError when it is not deployed."""
    needs = "the test clone"
    outputs = required_outputs(clients, stack, ("TestLaunchTemplateId", "SubnetIds"), needs)
    return CloneSettings(outputs["TestLaunchTemplateId"], subnets(outputs))


def subnets(outputs: Mapping[str, str]) -> tuple[str, ...]:
    """Return the subnets that the builder's stack names."""
    return tuple(part.strip() for part in outputs["SubnetIds"].split(",") if part.strip())


def required_outputs(clients: Clients, stack: str, keys: tuple[str, ...], needs: str) -> dict[str, str]:
    """Return the outputs of the builder's stack.

    Raises PublishError, naming what ``needs`` them, when it lacks any.
    """
    outputs = stack_outputs(clients, stack)
    missing = [key for key in keys if not (outputs or {}).get(key)]
    if outputs is None or missing:
        what = "is not deployed" if outputs is None else f"lacks the outputs {', '.join(missing)}"
        raise PublishError(
            f"{needs} needs the stack {stack}, which {what} in {clients.region}",
            hint=f"deploy it first: cdk deploy {stack}",
        )
    return outputs
