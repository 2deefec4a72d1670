"""Verdicts on fleets as text: what clones say of themselves, held against their manifests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingot.quantities import ago, number

if TYPE_CHECKING:
    from ingot.fleet.verify import CloneVerdict, FleetVerdict

# Up to so many clones have a line each; of more, equal ones share one, which names so many.
LISTED, NAMED_CLONES = 20, 8


def fleet_lines(verdict: FleetVerdict) -> list[str]:
    """Return the verdicts as text: one for each clone; in a large fleet, one for clones that are alike."""
    if len(verdict.clones) <= LISTED:
        return [clone_line(clone) for clone in verdict.clones]
    alike: dict[tuple[object, ...], list[CloneVerdict]] = {}
    for clone in verdict.clones:
        # What a silent clone's console ends with comes below the first line, and is of the clone alone.
        said = clone.problem.partition("\n")[0]
        key = (clone.ok, clone.ami_id, clone.digest, clone.sections, clone.differs, said)
        alike.setdefault(key, []).append(clone)
    # Those that are in order come first, the largest group of them before others.
    groups = sorted(alike.values(), key=lambda clones: (not clones[0].ok, -len(clones)))
    return [_group_lines(clones) for clones in groups]


def _group_lines(clones: list[CloneVerdict]) -> str:
    """Return what is said of clones that are alike."""
    first = clones[0]
    if len(clones) == 1:
        return clone_line(first)
    line = f"{number(len(clones), 'clone')}  {first.ami_id}  {first.digest[:12]}"
    if first.ok:
        ages = [clone.age for clone in clones if clone.age is not None]
        return f"{line}  equal their manifest, {_reported(max(ages, default=None))} or later"
    left = len(clones) - NAMED_CLONES
    named = ", ".join(clone.instance_id for clone in clones[:NAMED_CLONES])
    more = f", and {number(left, 'other clone')}" if left > 0 else ""
    _, *rest = clone_line(first).splitlines()
    return "\n".join([f"{line}  {_word(first)}", f"  {named}{more}", *rest])


def fleet_summary(verdict: FleetVerdict) -> str:
    """Return how many clones equal their manifest, and what a sample of them proves about the fleet."""
    asked, good = len(verdict.clones), sum(clone.ok for clone in verdict.clones)
    if not verdict.is_sample:
        return f"{good} of {asked} clones equal their manifest"
    share = 100 * verdict.most_bad / verdict.fleet
    return (
        f"{good} of {asked} clones chosen at random equal their manifest; with a confidence of 95 %, "
        f"at most {verdict.most_bad:,} of all {number(verdict.fleet, 'clone')} do not ({share:.1f} %)"
    )


def clone_line(clone: CloneVerdict) -> str:
    """Return a clone's verdict as text: one line when it is good, else what differs below it."""
    line = f"{clone.instance_id}  {clone.ami_id}  {clone.digest[:12]}"
    if clone.ok:
        return f"{line}  equals its manifest, {_reported(clone.age)}"
    lines = [f"{line}  {_word(clone)}"]
    if clone.problem:
        lines.append(f"  {clone.problem}")
    if clone.sections:
        lines.append(f"  sections: {', '.join(clone.sections)}")
    return "\n".join([*lines, *(f"  {path}" for path in clone.differs)])


def _word(clone: CloneVerdict) -> str:
    return "DIFFERS" if clone.sections else "NOT PROVED"


def _reported(age: int | None) -> str:
    """Return how long ago a clone said so."""
    return "at no known time" if age is None else ago(age)
