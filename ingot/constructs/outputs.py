"""What the commands read of deployed stacks: their outputs.

`ingot publish` reads those of the builder's stack, ``--builder-stack NAME`` (a :class:`GoldenImage` with a
builder says the name in the command of its asset); `ingot status` and `ingot verify` those of a fleet's,
``--stack NAME``. One builder, one fleet, or one single clone, in a stack.
"""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import CfnOutput, Stack

from ingot.constructs.builder.builder import Builder
from ingot.constructs.fleet.clone import Clone
from ingot.constructs.fleet.clone_fleet import CloneFleet
from ingot.constructs.instance_types import Architecture

# Debian's own AMIs, newest release; they run user data and have python3. (Debian wiki, "Amazon EC2 Image:
# Bookworm", SSM parameters)
BUILDER_IMAGES: Mapping[Architecture, str] = {
    "x86_64": "/aws/service/debian/release/12/latest/amd64",
    "arm64": "/aws/service/debian/release/12/latest/arm64",
}
BUILDER_IMAGE = BUILDER_IMAGES["x86_64"]


def add_builder_outputs(
    builder: Builder, *, mode: str = "auto", image: str = BUILDER_IMAGE, local_image: str | None = None
) -> None:
    """Add what publishing needs to the outputs of the builder's stack.

    ``mode``: where images are baked: instance, host, or auto, which is instance on AWS and host on the local
    cloud. ``image``: what builder instances boot, an AMI's id or an SSM parameter that names one.
    ``local_image``: what they boot in the local cloud, which has no AMIs but one's own: the name of a recipe.
    """
    _add(
        Stack.of(builder),
        TestLaunchTemplateId=builder.test_launch_template.launch_template_id,
        BuilderLaunchTemplateId=builder.launch_template.launch_template_id,
        SubnetIds=",".join(builder.subnets.subnet_ids),
        BundleBucketName=builder.bundles.bucket_name,
        LogGroupName=builder.log_group.log_group_name,
        BuilderMode=mode,
        BuilderImage=image,
        **({"LocalBuilderImage": local_image} if local_image else {}),
    )


def add_fleet_outputs(fleet: CloneFleet) -> None:
    """Add what status and verification need to the outputs of the fleet's stack; a fleet without a load
    balancer has no ``Url``.
    """
    _add(
        Stack.of(fleet),
        Url=fleet.url,
        AutoScalingGroupName=fleet.group.auto_scaling_group_name,
        LaunchTemplateId=fleet.launch_template.launch_template_id,
        RecipeName=fleet.image.recipe.name,
        RecipeDigest=fleet.image.recipe_digest,
    )


def add_clone_outputs(clone: Clone) -> None:
    """Add what status and verification need to the outputs of a single clone's stack."""
    _add(
        Stack.of(clone),
        InstanceId=clone.instance.instance_id,
        RecipeName=clone.image.recipe.name,
        RecipeDigest=clone.image.recipe_digest,
    )


def _add(stack: Stack, **values: str | None) -> None:
    for name, value in values.items():
        if value is not None:
            CfnOutput(stack, name, value=value)
