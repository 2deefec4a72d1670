"""What packages need of each other: the order in which they may be unpacked and configured."""

from __future__ import annotations

from typing import Collection, Dict, Iterable, List, Mapping, Sequence, Set

from ingot.bake.packages.deb import Control
from ingot.deb822 import names_in

DEPENDS = ("depends", "pre-depends")


def needs(
    names: Collection[str], controls: Mapping[str, Control], relations: Sequence[str] = DEPENDS
) -> Dict[str, Set[str]]:
    """Return what each package needs of the others: every alternative, and all that provide what it names."""
    provided: Dict[str, Set[str]] = {name: {name} for name in names}
    for name in names:
        for virtual in names_in(controls[name].fields.get("provides", "")):
            provided.setdefault(virtual, set()).add(name)
    return {
        name: {
            other
            for relation in relations
            for word in names_in(controls[name].fields.get(relation, ""))
            for other in provided.get(word, ())
        }
        for name in names
    }


def closure(names: Iterable[str], needed: Mapping[str, Set[str]]) -> Set[str]:
    """Return ``names`` and all that these need in turn."""
    found: Set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending += needed.get(name, ())
    return found


def needed_first(names: Iterable[str], needed: Mapping[str, Set[str]]) -> List[str]:
    """Return ``names``, each after those that it needs, as far as there is no circle; else by name.

    base-passwd comes first: it makes /etc/passwd and /etc/group, which others' scripts read.
    """
    known = set(names)
    done: Dict[str, None] = {}
    entered: Set[str] = set()

    def visit(name: str) -> None:
        if name in known and name not in entered:
            entered.add(name)
            for other in sorted(needed[name]):
                visit(other)
            done[name] = None

    visit("base-passwd")
    for name in sorted(known):
        visit(name)
    return list(done)
