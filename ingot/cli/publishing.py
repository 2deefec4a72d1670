"""How ``ingot publish`` gets its image: baked on this machine, or on a builder instance."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingot import paths
from ingot.errors import InputError, PublishError

if TYPE_CHECKING:
    from ingot.aws.publish.image import Published
    from ingot.aws.publish.parent import ManifestOf
    from ingot.aws.publish.settings import PublishSettings
    from ingot.aws.session.clients import Clients
    from ingot.cli.reporting import Reporter
    from ingot.recipe.schema.model import Recipe
    from ingot.store import Store

# The recipe of this project that a builder instance boots in the local cloud, where AWS's public images are not.
BUILDER_RECIPE = "builder"
MODES = ("auto", "host", "instance")
PACKAGES = ("auto", "bucket", "mirror")


def publish_image(
    recipe: Recipe,
    digest: str,
    clients: Clients,
    reporter: Reporter,
    *,
    test: bool,
    mode: str,
    image: str | None,
    packages: str,
) -> Published:
    """Return the published image; what is published already is found with two calls, without a bake.

    ``mode``: where to bake; ``image``: what a builder instance boots, None: what the builder's stack says; ``packages``: where it gets them.
    """
    from ingot.aws.publish.publish import find_published, publish
    from ingot.aws.publish.settings import PublishSettings, clone_settings
    from ingot.aws.session.failures import translated

    with translated(PublishError):
        published = find_published(clients, recipe.name, digest)
        if published is not None:
            reporter(f"{recipe.name} {digest[:12]} is published as {published.ami_id}")
            return published
        # Asked before the bake: a missing stack must not cost a bake.
        clone = clone_settings(clients) if test else None
        where = _where(clients, mode, test=test) if recipe.base.ami is None else _on_instance(recipe, mode)
    from ingot.store import Store  # brings the whole engine, which the answer above does without

    store = Store(paths.store())
    settings = PublishSettings(
        paths.store() / "records", clone, manifest_of=store.manifest, keep_manifest=store.keep_manifest
    )
    if where == "instance":
        return _by_instance(recipe, store, clients, settings, reporter, image=image, packages=packages)
    baked = store.bake(recipe, reporter)
    if baked.digest != digest:
        raise InputError(
            f"{recipe.name} was changed while it was published: it is {baked.digest[:12]} now, no longer {digest[:12]}",
            hint="run the command again",
        )
    with store.using(baked):
        return publish(baked, clients, settings, reporter)


def _on_instance(recipe: Recipe, mode: str) -> str:
    if mode == "host":
        problem = recipe.problem(
            ("base", "ami"), "a base AMI with --builder host", "a builder instance, which boots the base AMI"
        )
        raise InputError("a base AMI is baked on a builder instance", problems=[problem])
    return "instance"


def _where(clients: Clients, mode: str, *, test: bool) -> str:
    """Return host or instance: what the caller says, else the builder's stack, else the instance on AWS and this machine otherwise."""
    from ingot.aws.publish.settings import stack_defaults

    if mode == "auto" and (test or not clients.on_this_machine):
        mode = stack_defaults(clients).mode
    if mode == "auto":
        mode = "host" if clients.on_this_machine else "instance"
    return mode


def _by_instance(
    recipe: Recipe,
    store: Store,
    clients: Clients,
    settings: PublishSettings,
    reporter: Reporter,
    *,
    image: str | None,
    packages: str,
) -> Published:
    from ingot.aws.builder.publish import Work, publish_by_builder
    from ingot.aws.publish.settings import builder_settings, stack_defaults
    from ingot.aws.session.failures import translated
    from ingot.recipe.lock.mirrors import addresses
    from ingot.recipe.plan import compile_plan

    plan = compile_plan(recipe)
    with translated(PublishError):
        if "base" in plan:
            builder = builder_settings(clients, "")
        else:
            image = image or (BUILDER_RECIPE if clients.on_this_machine else stack_defaults(clients).image)
            builder = builder_settings(clients, _image_id(clients, image, recipe.directory.parent))
    own = "base" not in plan and (packages == "bucket" or (packages == "auto" and clients.on_this_machine))
    work = Work(
        plan=plan,
        sources=recipe.source_root,
        packages=store.fetch(plan, reporter) if own else {},
        mirrors={} if own or "base" in plan else addresses(plan),
    )
    return publish_by_builder(work, clients, builder, settings, reporter)


def _image_id(clients: Clients, image: str, recipes: Path) -> str:
    """Return ``image`` if it is an AMI id or a parameter's name; for a recipe's name, the AMI that the registry holds."""
    if image.startswith(("ami-", "/")):
        return image
    from ingot.aws.publish.registry import find
    from ingot.recipe.digest import recipe_digest
    from ingot.recipe.load import find_recipe, load_recipe

    recipe = load_recipe(find_recipe(recipes, image))
    published = find(clients, recipe.name, recipe_digest(recipe))
    if published is None:
        raise InputError(
            f"the builder instance is to boot the recipe {image}, which is not published in {clients.region}",
            hint=f"publish it, baked on this machine: ingot publish {image} --builder host",
        )
    return published.ami_id


def manifests(store: Store) -> ManifestOf:
    """Return the function that gives the manifest of a recipe digest that the store knows, else None."""

    def manifest_of(digest: str) -> dict[str, Any] | None:
        return store.manifest(digest)

    return manifest_of
