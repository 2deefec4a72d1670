"""Which old images to retire: the plan of a prune, once the recipes that it names are known to exist. And
what publishes left that were broken off.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

from ingot import paths
from ingot.errors import InputError

if TYPE_CHECKING:
    from ingot.aws.prune.plan import PrunePlan, Rules
    from ingot.aws.prune.prune import Pruned
    from ingot.aws.publish.cleanup.journal import Resource
    from ingot.aws.session.clients import Clients
    from ingot.progress import Progress


def plan(clients: Clients, rules: Rules, recipes: Path) -> PrunePlan:
    """Return what would go and what stays; nothing is changed.

    Raises InputError for a name that is no recipe's: neither the directory ``recipes`` has it, nor the
    account something of it.
    """
    from ingot.aws.prune.plan import plan_prune
    from ingot.aws.session.failures import translated
    from ingot.recipe.load import find_recipes
    from ingot.recipe.syntax.explain import close_to

    with translated():
        result = plan_prune(clients, rules, dt.datetime.now(dt.UTC))
    # It may be called outside of a project, and for a recipe that was deleted.
    known = sorted({*result.recipes, *(find_recipes(recipes) if recipes.is_dir() else ())})
    for name in rules.recipes:
        if name not in known:
            raise InputError(
                f"no recipe {name!r} in {recipes}, and no image of one in {clients.region}; "
                f"there is: {', '.join(known) or 'none'}",
                hint=close_to(name, known),
            )
    return result


def remove(clients: Clients, planned: PrunePlan, progress: Progress) -> Pruned:
    """Remove what a plan says goes; return what did, and what came into use since and stays."""
    from ingot.aws.prune.prune import prune
    from ingot.aws.session.failures import translated

    with translated():
        return prune(clients, planned, progress)


def interrupted(clients: Clients) -> list[Resource]:
    """Return what publishes from this machine left that were killed or could not clean up; nothing is
    changed. One that still runs is left alone.
    """
    from ingot.aws.publish.cleanup.leftovers import left_behind
    from ingot.aws.session.failures import translated

    with translated():
        return left_behind(clients, _journals(), clients.sts.get_caller_identity()["Account"])


def remove_interrupted(clients: Clients, progress: Progress) -> None:
    """Remove what `interrupted` returns. Raises PublishError naming what cannot be removed."""
    from ingot.aws.publish.cleanup.leftovers import remove_left_behind
    from ingot.aws.session.failures import translated

    with translated():
        account = clients.sts.get_caller_identity()["Account"]
        remove_left_behind(clients, _journals(), account, progress)


def _journals() -> Path:
    return paths.store() / "records" / "publishing"
