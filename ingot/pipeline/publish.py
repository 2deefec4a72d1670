"""Publishing a recipe's image: baked on this machine or on a builder instance, then registered as an AMI."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingot import paths
from ingot.aws.instance_store.settings import INSTANCE_STORE, bundle_settings
from ingot.errors import InputError, PublishError
from ingot.files import write_atomically
from ingot.paths import RECIPES
from ingot.pipeline.app import BUILDER_STACK, require_stack
from ingot.pipeline.bake import open_store
from ingot.progress import Progress
from ingot.recipe.asset import PublishCommand

if TYPE_CHECKING:
    from ingot.aws.builder.settings import BuilderSettings
    from ingot.aws.publish.settings import PublishSettings
    from ingot.aws.registry.published import Published
    from ingot.aws.session.clients import Clients
    from ingot.recipe.schema.model import Recipe
    from ingot.spec import BakeSpec

AUTO = "auto"
MODES = (AUTO, "host", "instance")
PACKAGES = (AUTO, "bucket", "mirror")


@dataclass(frozen=True)
class PublishOptions:
    """Which recipe to publish, and how.

    ``name``: the recipe's name or its directory. ``digest``: the recipe digest that is expected. ``account``:
    whose the image must be; None: whoever has the credentials. ``mode``: where to bake, one of MODES.
    ``builder_image``: what a builder instance boots; None: what the builder's stack says. ``packages``: where
    it gets the packages, one of PACKAGES; AUTO is the bucket. ``test`` False: no test clone, and the registry
    does not name the AMI. ``builder_stack``: the stack whose outputs say how test clones and builder
    instances are launched; None: the one that the app in the working directory names.
    """

    name: str
    digest: str | None = None
    environment: str | None = None
    recipes: Path = RECIPES
    account: str | None = None
    mode: str = AUTO
    builder_image: str | None = None
    packages: str = AUTO
    test: bool = True
    builder_stack: str | None = None

    @classmethod
    def of_asset(cls, command: PublishCommand) -> PublishOptions:
        """Return the options in an asset's command; its region is that of the clients."""
        return cls(
            name=command.name,
            digest=command.digest,
            environment=command.environment,
            recipes=RECIPES if command.recipes is None else Path(command.recipes),
            account=command.account,
            builder_stack=command.builder_stack,
        )

    def require_builder_stack(self) -> str:
        """Return the builder's stack; raise InputError when neither the options nor the app name it."""
        return require_stack(BUILDER_STACK, self.builder_stack)


@dataclass(frozen=True)
class Target:
    """A recipe and its digest: what is to be published."""

    recipe: Recipe
    digest: str

    def require_digest(self, digest: str) -> None:
        """Raise InputError unless the recipe's files, when they were read to be baked, had this digest."""
        if digest != self.digest:
            raise InputError(
                f"{self.recipe.name} was changed while it was published: it is {digest[:12]} now, "
                f"no longer {self.digest[:12]}",
                hint="run the command again",
            )


def load_target(options: PublishOptions) -> Target:
    """Read the recipe; raise InputError when it is wrong, or has another digest than the expected one."""
    from ingot.recipe.digest import recipe_digest
    from ingot.recipe.load import RECIPE_FILE, find_recipe, load_recipe

    directory = Path(options.name)
    given = directory if (directory / RECIPE_FILE).is_file() and len(directory.parts) > 1 else None
    recipe = load_recipe(given or find_recipe(options.recipes, options.name), options.environment)
    digest = recipe_digest(recipe)
    if options.digest is not None and options.digest != digest:
        raise InputError(
            f"the recipe {options.name} has the digest {digest}, not {options.digest}",
            hint="it changed since the templates were made: run `cdk synth` again",
        )
    return Target(recipe, digest)


def publish_recipe(
    target: Target, clients: Clients, options: PublishOptions, progress: Progress
) -> Published:
    """Return the published image; what is published already is found with two calls, without a bake.

    Raises InputError, BakeError and PublishError. ``clients`` are of the region to publish in.
    """
    from ingot.aws.publish.publish import find_published, publish
    from ingot.aws.publish.settings import PublishSettings, clone_settings
    from ingot.aws.session.clients import require_account
    from ingot.aws.session.failures import translated

    recipe, digest = target.recipe, target.digest
    if options.account is not None:
        with translated():
            require_account(clients, options.account, "--account")
    with translated(PublishError):
        published = find_published(clients, recipe.name, digest, known_manifest)
        if published is not None:
            progress(f"{recipe.name} {digest[:12]} is published as {published.ami_id}")
            return published
        # Asked before the bake: a missing stack must not cost a bake.
        clone = clone_settings(clients, options.require_builder_stack()) if options.test else None
        on_instance = _on_instance(recipe, clients, options)
        # Likewise: which keys, and where to.
        bundles = bundle_settings() if recipe.root_volume.device == INSTANCE_STORE else None
    store = open_store()
    settings = PublishSettings(
        paths.store() / "records",
        clone,
        manifest_of=store.manifest,
        keep_manifest=store.keep_manifest,
        bundles=bundles,
    )
    if on_instance:
        return _publish_from_instance(target, clients, options, settings, progress)
    image = store.bake(recipe, progress)
    target.require_digest(image.digest)
    with store.using(image):
        return publish(image, clients, settings, progress)


def _publish_from_instance(
    target: Target, clients: Clients, options: PublishOptions, settings: PublishSettings, progress: Progress
) -> Published:
    """Let a builder instance bake and publish what is not published yet."""
    from ingot.aws.builder.bundle import kept_packages
    from ingot.aws.builder.publish import publish_by_builder
    from ingot.aws.builder.supply import Supply, work_of
    from ingot.aws.session.failures import translated
    from ingot.recipe.compile import compile_spec
    from ingot.recipe.lock.mirrors import addresses

    spec = compile_spec(target.recipe)
    target.require_digest(spec.recipe_digest)
    builder = _builder(spec, target.recipe.directory.parent, clients, options)
    with translated(PublishError):
        kept = kept_packages(clients, builder.bucket)
    # Never this machine's own apt sources, which the builder may not reach.
    archives = addresses(spec, elsewhere=True) if options.packages == "mirror" else {}
    work = work_of(spec, target.recipe.source_root, Supply(open_store(), kept, archives), progress)
    return publish_by_builder(work, clients, builder, settings, progress)


def known_manifest(digest: str) -> Mapping[str, Any] | None:
    """Return the manifest of a recipe digest; None when this machine has none."""
    from ingot.store import Store

    return Store(paths.store()).manifest(digest)


def write_result(published: Published, region: str) -> Path:
    """Write the result where the CDK CLI can upload it from, whole or not at all, and return the file."""
    path = paths.store() / "records" / "published" / region / f"{published.recipe}-{published.digest}.json"
    write_atomically(path, json.dumps(published.as_dict(), sort_keys=True) + "\n")
    return path


def log_file(target: Target) -> Path:
    """Return where the log of a publish is kept that the CDK CLI runs unseen."""
    return paths.store() / "records" / "logs" / f"publish-{target.recipe.name}-{target.digest[:12]}.log"


def _on_instance(recipe: Recipe, clients: Clients, options: PublishOptions) -> bool:
    """Whether a builder instance bakes.

    A recipe on a base AMI needs one. Else the caller says, else the builder's stack; on AWS the default is an
    instance, in the local cloud this machine.
    """
    from ingot.aws.builder.settings import stack_defaults

    mode = options.mode
    if recipe.root_volume.device == INSTANCE_STORE:
        if mode == "instance":
            problem = recipe.problem(
                ("root_volume", "device"),
                "a root on an instance store with --builder instance",
                "--builder host: a builder instance fills a snapshot, which such an AMI does not stand on",
            )
            raise InputError("a bundle is made on this machine", problems=[problem])
        return False
    if recipe.base.ami is not None:
        if mode == "host":
            problem = recipe.problem(
                ("base", "ami"),
                "a base AMI with --builder host",
                "a builder instance, which boots the base AMI",
            )
            raise InputError("a base AMI is baked on a builder instance", problems=[problem])
        return True
    if mode == AUTO and (options.test or not clients.on_this_machine):
        mode = stack_defaults(clients, options.require_builder_stack()).mode
    return mode == "instance" or (mode == AUTO and not clients.on_this_machine)


def _builder(spec: BakeSpec, recipes: Path, clients: Clients, options: PublishOptions) -> BuilderSettings:
    """Return how a builder instance is launched for ``spec``; ``recipes`` has the one that it boots."""
    from ingot.aws.builder.settings import builder_settings, stack_defaults
    from ingot.aws.session.failures import translated

    stack = options.require_builder_stack()
    with translated(PublishError):
        if spec.base is not None:
            return builder_settings(clients, "", stack)
        defaults = stack_defaults(clients, stack)
        image = options.builder_image or (defaults.local_image if clients.on_this_machine else defaults.image)
        return builder_settings(clients, _image_id(clients, image, recipes), stack)


def _image_id(clients: Clients, image: str, recipes: Path) -> str:
    """Return ``image`` if it is an AMI id or a parameter's name; for a recipe's name, the AMI that the
    registry holds.
    """
    if image.startswith(("ami-", "/")):
        return image
    if not image:
        raise InputError(
            "the builder's stack does not say what a builder instance boots",
            hint="name a published recipe or an AMI with --builder-image",
        )
    from ingot.aws.registry.published import find
    from ingot.recipe.digest import recipe_digest
    from ingot.recipe.load import find_recipe, load_recipe

    recipe = load_recipe(find_recipe(recipes, image))
    published = find(clients, recipe.name, recipe_digest(recipe), known_manifest)
    if published is None:
        raise InputError(
            f"the builder instance boots the recipe {image}, which is not published in {clients.region}",
            hint=f"publish it, baked on this machine: ingot publish {image} --builder host",
        )
    return published.ami_id
