"""Fleets as they are now, beside what the recipes of the working directory want."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ingot.aws.session.failures import translated
from ingot.errors import IngotError
from ingot.fleet.alarms import Alarm, alarms_of
from ingot.fleet.status import FleetStatus, fleet_status
from ingot.fleet.verify import require_right_images
from ingot.paths import RECIPES
from ingot.recipe.digest import recipe_digest
from ingot.recipe.load import environments, find_recipe, load_recipe
from ingot.store import Store

if TYPE_CHECKING:
    from ingot.aws.session.clients import Clients

PAUSE = 5.0  # seconds between two looks: some calls each, which AWS counts against the account's rate


@dataclass(frozen=True)
class FleetView:
    """One fleet at one time. ``wanted`` is the recipe digest of the working directory's recipe; None when it
    has none of that name, or one that does not load.
    """

    status: FleetStatus
    wanted: str | None
    alarms: tuple[Alarm, ...]

    @property
    def running(self) -> dict[str, int]:
        """How many clones run each digest."""
        return dict(Counter(clone.digest for clone in self.status.clones).most_common())


def current(clients: Clients, stack: str) -> FleetStatus:
    """Return the fleet of a stack as it is. Raises IngotError when there is none, and for AWS's refusals."""
    with translated():
        return fleet_status(clients, stack)


def require_published_images(clients: Clients, fleet: FleetStatus) -> None:
    """Raise VerificationError when the registry names another AMI for the fleet, or a clone runs one."""
    with translated():
        require_right_images(clients, fleet, Store().manifest)


def look(clients: Clients, stack: str, *, environment: str | None, recipes: Path = RECIPES) -> FleetView:
    """Look at the fleet of a stack and at the recipe for it, in the recipe's ``environment``.

    Raises as :func:`current`.
    """
    status = current(clients, stack)
    with translated():
        alarms = alarms_of(clients, stack)
    return FleetView(status, _wanted(status.recipe, environment, recipes), alarms)


def watch(clients: Clients, stacks: Sequence[str], *, environment: str | None) -> Iterator[list[FleetView]]:
    """Yield the fleets of stacks as they are, again and again without end. Raises as :func:`current`."""
    while True:
        yield [look(clients, stack, environment=environment) for stack in stacks]
        time.sleep(PAUSE)


def _wanted(name: str, environment: str | None, recipes: Path) -> str | None:
    try:
        path = find_recipe(recipes, name)
        known = environment if environment in environments(path) else None
        return recipe_digest(load_recipe(path, known))
    except (IngotError, OSError):  # no such recipe here, or one that is being edited
        return None
