"""An AMI as a CDK asset, named by the digest of its recipe."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import jsii
from aws_cdk import Stack, Token
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from ingot.constructs.builder.builder import Builder
from ingot.constructs.instance_types import chosen_types, types_with_store_root
from ingot.constructs.machines import ROOT_DEVICE
from ingot.errors import InputError
from ingot.paths import RECIPES
from ingot.recipe.asset import PublishCommand, registry_parameter
from ingot.recipe.digest import recipe_digest
from ingot.recipe.load import RECIPE_FILE, find_recipe, load_recipe
from ingot.recipe.lock.ami import AmiLock
from ingot.recipe.lock.file import load_lock
from ingot.recipe.schema.model import Recipe


@jsii.implements(ec2.IMachineImage)
class GoldenImage(Construct):
    """The AMI of a recipe, for every place that takes an ``ec2.IMachineImage``.

    Synthesis reads the recipe and computes its digest; it never bakes. The CDK CLI has the image published,
    if it never was, while it publishes assets: after the builder's stack is deployed and before this stack's
    change set is made. The template names the AMI by a dynamic reference to the registry, so that a new image
    shows as one line in a diff.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        recipe: Path | str | Recipe,
        environment: str | None = None,
        builder: Builder | None = None,
        builder_stack: str | None = None,
    ) -> None:
        """Read the recipe and add the asset.

        :param recipe: the recipe's name, looked up in ``image_recipes/`` of the working directory, or its
            directory, or the recipe as ``load_recipe`` returned it
        :param environment: the environment of the recipe whose variables count. Default: none, their defaults
            count; of a recipe that is loaded: the one that it was loaded for
        :param builder: what publishing needs to be there; its stack is deployed first. Default: it is
            deployed already
        :param builder_stack: the name of the stack that has the builder, where another app deploys it.
            Default: that of ``builder``, else the one that `ingot publish` looks for by default
        :raises InputError: the recipe has problems (all are told), or ``builder`` is in the same stack
        """
        super().__init__(scope, id_)
        self._recipe = recipe if isinstance(recipe, Recipe) else load_recipe(_directory(recipe), environment)
        self._digest = recipe_digest(self._recipe)
        stack = Stack.of(self)
        if builder is not None:
            _deploy_first(stack, builder)
            builder_stack = builder_stack or Stack.of(builder).stack_name
        stack.synthesizer.add_file_asset(
            source_hash=self._digest,
            executable=_publish_command(self._recipe, self._digest, stack, builder_stack).words(),
            display_name=f"AMI of {self._recipe.name} {self._digest[:12]}",
        )

    @property
    def recipe(self) -> Recipe:
        """The recipe as it was read."""
        return self._recipe

    @property
    def recipe_digest(self) -> str:
        """The recipe digest: 64 hex digits."""
        return self._digest

    @property
    def on_instance_store(self) -> bool:
        """Whether the AMI's root is on an instance store: it has no root volume."""
        return self._recipe.root_volume.device == "instance-store"

    def chosen_types(self, where: str, first: str | None, more: tuple[str, ...] = ()) -> list[str]:
        """Return the instance types that the image starts on: ``first``, by default one that suits it, and
        ``more``. Raises InputError that names ``where`` for one on which it does not.
        """
        if self.on_instance_store:
            return types_with_store_root(where, first, more)
        return chosen_types(where, first, self._recipe.architecture, more)

    @property
    def root_device(self) -> str:
        """The name of the AMI's root device: its base AMI's in the stack's region, by the lock, or that of
        images from scratch.

        Raises InputError: the lock does not know the region, or the stack has none and the regions differ.
        """
        lock = load_lock(self._recipe)
        if not isinstance(lock, AmiLock):
            return ROOT_DEVICE
        region = Stack.of(self).region
        if region in lock.ami:
            return lock.ami[region].root_device
        names = {ami.root_device for ami in lock.ami.values()}
        if not Token.is_unresolved(region) or len(names) != 1:
            where = "a stack without a region" if Token.is_unresolved(region) else region
            raise InputError(
                f"{self.node.path}: the lock of {self._recipe.name} does not say what the root device is "
                f"called in {where}; "
                f"it has: {', '.join(sorted(lock.ami)) or 'no region'}",
                hint="give the stack one of the lock's regions, or add its region: AWS_REGION=… ingot lock "
                + self._recipe.name,
            )
        return names.pop()

    @property
    def ami_id(self) -> str:
        """The AMI id, as a reference that CloudFormation resolves when it creates the change set."""
        return "{{resolve:ssm:" + registry_parameter(self._recipe.name, self._digest) + "}}"

    @jsii.member(jsii_name="getImage")
    def get_image(self, scope: Construct) -> ec2.MachineImageConfig:
        """Return the image for a launch template or an instance: no user data, a golden image needs none."""
        return ec2.MachineImageConfig(
            image_id=self.ami_id, os_type=ec2.OperatingSystemType.LINUX, user_data=ec2.UserData.custom("")
        )


def _directory(recipe: Path | str) -> Path:
    """Return the recipe's directory; raise InputError when there is no recipe of that name."""
    if isinstance(recipe, str):
        return find_recipe(RECIPES, recipe).parent
    return recipe.parent if recipe.name == RECIPE_FILE else recipe


def _deploy_first(stack: Stack, builder: Builder) -> None:
    other = Stack.of(builder)
    if other is stack:
        raise InputError(
            f"{stack.stack_name}: the builder of a GoldenImage is in the same stack",
            hint="put Builder into a stack of its own: assets are published before their stack is deployed",
        )
    stack.add_stack_dependency(other, "publishing an image needs the builder's launch templates")


def _publish_command(recipe: Recipe, digest: str, stack: Stack, builder_stack: str | None) -> PublishCommand:
    """Return the command that the CDK CLI runs in its working directory when the asset does not exist yet.

    It names the stack's region and account where the stack does: the caller's may be others, and an AMI is
    where it was published. It names the builder's stack, whose outputs it needs, since only the app knows
    what that is called.
    """
    parent = recipe.directory.parent
    return PublishCommand(
        python=_relative(Path(sys.executable)),
        name=recipe.directory.name,
        digest=digest,
        recipes=None if parent.absolute() == RECIPES.absolute() else _relative(parent),
        environment=recipe.environment,
        region=_known(stack.region),
        account=_known(stack.account),
        builder_stack=None if builder_stack is None else _known(builder_stack),
    )


def _known(value: str) -> str | None:
    """Return a value; None for one that is known only when the stack is deployed."""
    return None if Token.is_unresolved(value) else value


def _relative(path: Path) -> str:
    """Return ``path`` from the working directory where it lies below it: a cdk.out may move to another
    machine.

    The CDK CLI runs the app and an asset's executable from one and the same directory.
    """
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would leave the virtual environment
    here = Path.cwd()
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(absolute)
