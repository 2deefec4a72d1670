"""Verifying: what clones say of themselves, and the blocks of an AMI, held against the manifest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ingot import paths
from ingot.aws.instance_store.settings import PRIVATE_KEY, bundle_files
from ingot.progress import Progress

if TYPE_CHECKING:
    from ingot.aws.session.clients import Clients
    from ingot.aws.verify.image import ImageVerdict
    from ingot.fleet.verify import FleetVerdict


@dataclass(frozen=True)
class AskClones:
    """How the clones of a fleet are asked.

    ``limit``: seconds to wait for clones that have not reported; None: as long as their number needs. A
    report that is older than ``max_age`` seconds proves nothing. ``sample``: so many clones, chosen at
    random; None: all. ``restart``: ask those again, too, that a run that was broken off has proved.
    """

    limit: float | None
    max_age: float
    sample: int | None = None
    restart: bool = False


def verify_stack(clients: Clients, stack: str, progress: Progress, ask: AskClones) -> FleetVerdict:
    """Compare what the clones of a stack's fleet say of themselves with the manifest of their image."""
    from ingot.aws.session.failures import translated
    from ingot.fleet.verify import VerifyOptions, verify_fleet
    from ingot.store import Store

    options = VerifyOptions(ask.limit, ask.max_age, ask.sample, paths.verified(), restart=ask.restart)
    with translated():
        return verify_fleet(clients, stack, manifest_of=Store().manifest, progress=progress, options=options)


def verify_published(
    clients: Clients, name: str, recipes: Path, environment: str | None, progress: Progress
) -> ImageVerdict:
    """Read all blocks of an AMI's snapshot and compare them with the manifest.

    ``name``: an AMI's id, or a recipe whose AMI the registry names.
    """
    from ingot.aws.session.failures import translated
    from ingot.aws.verify.image import ami_of, verify_image
    from ingot.recipe.digest import recipe_digest
    from ingot.recipe.load import find_recipe, load_recipe
    from ingot.store import Store

    digest = None
    if not name.startswith("ami-"):
        digest = recipe_digest(load_recipe(find_recipe(recipes, name), environment))
    with translated():
        store = Store()
        manifest_of = store.manifest

        def disk_of(digest: str) -> Path | None:
            image = store.image(digest)
            return None if image is None else image.disk

        ami_id = name if digest is None else ami_of(clients, name, digest, manifest_of)
        return verify_image(
            clients,
            ami_id,
            manifest_of=manifest_of,
            progress=progress,
            key=bundle_files().get(PRIVATE_KEY),
            disk_of=disk_of,
        )
