"""What a lower layer stands on: another one, with fewer packages.

The packages of every image come first, then what the recipe adds to them, what is heavy before what is light:
adding a package installs again only what weighs as little as that package. Which packages those are depends
on the packages alone (decision 0007).
"""

from __future__ import annotations

from typing import Collection, Dict, List, Mapping, Optional, Sequence, Set

from ingot.bake.packages import order
from ingot.bake.packages.deb import Control
from ingot.spec import PackageSpec

# Bytes of package files. A package belongs to the first class whose weight it reaches together with all that
# it needs: the run-time of a language and what is written in it, an ordinary server, a tool.
WEIGHTS = (8 << 20, 1 << 20, 0)


def foundation(
    packages: Sequence[PackageSpec], system: Collection[str], controls: Mapping[str, Control]
) -> Optional[List[PackageSpec]]:
    """Return those of a lock's ``packages`` that the layer below has; None when there is
    none: then all are installed at once. Those that are not installed are all among them.

    ``system`` names the packages of every image; ``controls`` has all that are installed.
    """
    sizes = {p.name: p.size for p in packages if p.role == "install"}
    if not system or not sizes.keys() >= set(system):
        return None
    needs = order.needs(sizes, controls)
    essential = {p.name for p in packages if p.essential and p.role == "install"}
    below = order.closure([*essential, *system], needs)
    added = sizes.keys() - below
    if not added:
        return None
    classes = _classes(added, needs, sizes)
    last = max(classes.values())
    return [p for p in packages if p.role != "install" or p.name not in added or classes[p.name] < last]


def _classes(
    added: Collection[str], needs: Mapping[str, Set[str]], sizes: Mapping[str, int]
) -> Dict[str, int]:
    """Return the class of each of the ``added`` packages: that of the heaviest one that needs it."""
    classes = {name: len(WEIGHTS) for name in added}
    for name in added:
        together = order.closure([name], needs) & set(added)
        weight = sum(sizes[other] for other in together)
        number = next(number for number, least in enumerate(WEIGHTS) if weight >= least)
        for other in together:
            classes[other] = min(classes[other], number)
    return classes
