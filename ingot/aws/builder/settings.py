"""How builder instances are launched: the outputs of the builder's stack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ingot.aws.publish.settings import required_outputs, subnets

if TYPE_CHECKING:
    from ingot.aws.session.clients import Clients


@dataclass(frozen=True)
class BuilderSettings:
    """How a builder instance is launched: from the builder's stack.

    ``image``: what it boots, an AMI id, the name of an SSM parameter that holds one (it begins with a slash),
    or the name of a published recipe. The limits are seconds: until its first word, between two words, and
    for all its work; the last one is also when it ends itself.
    """

    launch_template_id: str
    subnet_ids: tuple[str, ...]
    bucket: str
    log_group: str
    image: str
    # EC2 boots Debian in less than a minute; QEMU without KVM takes about one. A builder without a way out
    # needs four to say so.
    boot_limit: float = 600.0
    silence_limit: float = 1800.0
    limit: float = 7200.0


@dataclass(frozen=True)
class StackDefaults:
    """What the builder's stack says where the caller does not.

    ``mode``: auto, host or instance. ``image``: what builder instances boot on AWS, ``local_image`` in the
    local cloud; "" where the stack does not say.
    """

    mode: str
    image: str
    local_image: str


def stack_defaults(clients: Clients, stack: str) -> StackDefaults:
    """Read them from the builder's stack; raise PublishError when it is not deployed."""
    outputs = required_outputs(clients, stack, ("TestLaunchTemplateId",), "the test clone")
    return StackDefaults(
        outputs.get("BuilderMode", "host"),
        outputs.get("BuilderImage", ""),
        outputs.get("LocalBuilderImage", ""),
    )


def builder_settings(clients: Clients, image: str, stack: str) -> BuilderSettings:
    """Read from the builder's stack how to launch builders that boot ``image``.

    Raises PublishError when it is not deployed.
    """
    keys = ("BuilderLaunchTemplateId", "SubnetIds", "BundleBucketName", "LogGroupName")
    outputs = required_outputs(clients, stack, keys, "the builder instance")
    return BuilderSettings(
        launch_template_id=outputs["BuilderLaunchTemplateId"],
        subnet_ids=subnets(outputs),
        bucket=outputs["BundleBucketName"],
        log_group=outputs["LogGroupName"],
        image=image,
    )
