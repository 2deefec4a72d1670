"""Does every clone equal its manifest? Each says so on its console; this reads and judges."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from ingot.aws.instances import console
from ingot.aws.registry.identity import Claim, root_digest_of
from ingot.aws.registry.published import ManifestOf, find
from ingot.aws.session import tags
from ingot.aws.session.waiting import wait_until
from ingot.errors import VerificationError
from ingot.fleet.consoles import Pace, limit_for, read_consoles
from ingot.fleet.inventory import FRESH, SETTLED, CloneInventory, newest
from ingot.fleet.status import UNKNOWN, Clone, FleetStatus, fleet_status
from ingot.progress import Progress
from ingot.quantities import number

if TYPE_CHECKING:
    from ingot.aws.session.clients import Clients

LONGEST_PAUSE = 5.0
# How many of the clones that are waited for a line of progress names.
NAMED = 8


@dataclass(frozen=True)
class CloneVerdict:
    """What one clone said of itself, judged. ``problem`` is "" when nothing is wrong.

    ``sections``: the inventory's sections that differ from the manifest. ``differs``: the paths that the
    clone names. ``age``: seconds since its inventory was made; None when there is none, or it is not known.
    """

    instance_id: str
    ami_id: str
    digest: str
    sections: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()
    problem: str = ""
    age: int | None = None

    @property
    def ok(self) -> bool:
        """Whether the clone equals its manifest."""
        return not self.problem and not self.sections


@dataclass(frozen=True)
class FleetVerdict:
    """The verdicts on all clones of a fleet."""

    stack: str
    digest: str
    clones: tuple[CloneVerdict, ...]

    @property
    def ok(self) -> bool:
        """Whether there are clones, and all equal their manifests."""
        return bool(self.clones) and all(clone.ok for clone in self.clones)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON's types."""
        clones = [{**asdict(clone), "ok": clone.ok} for clone in self.clones]
        return {"stack": self.stack, "digest": self.digest, "ok": self.ok, "clones": clones}


def verify_fleet(
    clients: Clients,
    stack: str,
    *,
    manifest_of: ManifestOf,
    progress: Progress,
    limit: float | None = None,
    max_age: float = FRESH,
) -> FleetVerdict:
    """Compare every clone's newest inventory with what its AMI's image holds.

    The manifest of the recipe digest that the AMI is tagged with says what it holds, or, where
    ``manifest_of`` has none, the AMI's own tags. Waits at most ``limit`` seconds for clones whose newest
    inventory is absent or older than ``max_age`` seconds; None stands for a limit by the fleet's size, from
    when its youngest clone takes its first inventory. What is wrong with one clone does not keep the others
    from being judged. Raises IngotError when there is no fleet.
    """
    status = fleet_status(clients, stack)
    find(clients, status.recipe, status.digest, manifest_of)
    clones = [clone for clone in status.clones if not clone.lifecycle.startswith("Terminat")]
    limit = limit_for(len(clones)) + _until_settled(clones) if limit is None else limit
    expected = {clone.instance_id: _expected(clone, manifest_of) for clone in clones}
    judged = [clone for clone in clones if expected[clone.instance_id]]
    consoles = _collect(clients, judged, progress, limit, max_age)
    verdicts = []
    for clone in clones:
        sections = expected[clone.instance_id]
        wrong_image = wrong_image_of(status, clone, manifest_of)
        if wrong_image and clone.digest != UNKNOWN:
            verdict = CloneVerdict(clone.instance_id, clone.ami_id, clone.digest, problem=wrong_image)
        elif not sections:
            verdict = CloneVerdict(clone.instance_id, clone.ami_id, clone.digest, problem=_unknown(clone))
        else:
            verdict = judge(clone, sections, consoles[clone.instance_id], limit=limit, max_age=max_age)
        if verdict.ok and clone.digest != status.digest:
            verdict = _stale(verdict, status.digest)
        verdicts.append(verdict)
    return FleetVerdict(stack, status.digest, tuple(verdicts))


def require_right_images(clients: Clients, status: FleetStatus, manifest_of: ManifestOf) -> None:
    """Raise VerificationError when the registry names another AMI for the fleet, or a clone runs one."""
    find(clients, status.recipe, status.digest, manifest_of)
    wrong = [
        f"{clone.instance_id}: {problem}"
        for clone in status.clones
        if (problem := wrong_image_of(status, clone, manifest_of))
    ]
    if wrong:
        raise VerificationError(
            "\n  ".join([f"clones of {status.stack} do not run a published image:", *wrong])
        )


def wrong_image_of(status: FleetStatus, clone: Clone, manifest_of: ManifestOf) -> str:
    """Say why a clone's AMI is not the published image that it is said to be; "" when it is, or is unknown.

    The stack says it of the digest that it asks for. A clone of another digest, which a refresh has still to
    replace, must be what its own AMI says.
    """
    if clone.identity is None:
        return ""
    is_older = clone.digest not in (UNKNOWN, status.digest)
    recipe, digest = (clone.recipe, clone.digest) if is_older else (status.recipe, status.digest)
    problems = clone.identity.problems(
        Claim(recipe, digest, status.account, root_digest_of(manifest_of(digest)))
    )
    image = f"{clone.ami_id} is not the image of {recipe} {digest[:12]}"
    return f"{image}: {'; '.join(problems)}" if problems else ""


def _expected(clone: Clone, manifest_of: ManifestOf) -> Mapping[str, str]:
    """Return the digests of the sections that a clone must have; empty when nothing here says so."""
    manifest = None if clone.digest == UNKNOWN else manifest_of(clone.digest)
    return clone.inventory if manifest is None else manifest["inventory"]


def _unknown(clone: Clone) -> str:
    """Say why nothing is known of what a clone should be."""
    if clone.digest == UNKNOWN:
        return f"{clone.ami_id} has no tag ingot:digest: not an image of Ingot"
    return (
        f"the manifest of {clone.recipe} {clone.digest[:12]} is not in this machine's store, "
        f"and {clone.ami_id} has no tags {tags.INVENTORY}*; check out the commit of that digest "
        f"and run `ingot bake {clone.recipe}`: the same recipe gives the same image"
    )


def _collect(
    clients: Clients, clones: list[Clone], progress: Progress, limit: float, max_age: float
) -> dict[str, str]:
    """Return the consoles by clone, once every newest inventory is fresh or ``limit`` seconds are over."""
    consoles = {clone.instance_id: "" for clone in clones}
    awaited = list(clones)
    reported = ""
    pace = Pace()

    def complete() -> bool:
        nonlocal reported
        consoles.update(read_consoles(clients, [clone.instance_id for clone in awaited], pace))
        awaited[:] = [c for c in awaited if _is_late(c, consoles[c.instance_id], max_age)]
        line = f"waiting for the inventory of {_named([clone.instance_id for clone in awaited])}"
        if _until_settled(awaited):
            line += f": on EBS a clone takes its first one {SETTLED / 60:.0f} minutes after it booted"
        if awaited and line != reported:
            reported = line
            progress(line)
        return not awaited

    try:
        wait_until(complete, "the clones' inventories", limit=limit, longest=LONGEST_PAUSE)
    except TimeoutError:
        # A silent clone is part of the verdict; the others are judged all the same.
        progress("some clones did not report in time")
    return consoles


def _until_settled(clones: Collection[Clone]) -> float:
    """Return the seconds until the youngest clone takes its first inventory; 0 when all have begun."""
    launched = [clone.launched for clone in clones if clone.launched is not None]
    return max(0.0, max(launched) + SETTLED - time.time()) if launched else 0.0


def _named(instance_ids: list[str]) -> str:
    left = len(instance_ids) - NAMED
    return ", ".join(instance_ids[:NAMED]) + (f" and {number(left, 'other clone')}" if left > 0 else "")


def _is_late(clone: Clone, text: str, max_age: float) -> bool:
    """Tell whether a newer inventory may come: there is none of this boot, or it is too old."""
    line = newest(text)
    if line is None:
        return True
    try:
        return _age(clone, CloneInventory.of(line)) > max_age
    except ValueError:  # waiting does not change what the image says
        return False


def _age(clone: Clone, inventory: CloneInventory) -> float:
    return inventory.age(launched=clone.launched, now=time.time())


def judge(
    clone: Clone, expected: Mapping[str, str], text: str, *, limit: float, max_age: float = FRESH
) -> CloneVerdict:
    """Compare the newest inventory on a clone's console, ``text``, with its image's sections."""

    def verdict(**fields: Any) -> CloneVerdict:  # noqa: ANN401 - the fields of CloneVerdict
        return CloneVerdict(clone.instance_id, clone.ami_id, clone.digest, **fields)

    line = newest(text)
    if line is None:
        end = console.tail(text, 10)
        return verdict(problem=f"no inventory on its console within {limit:.0f} s; the console ends:\n{end}")
    try:
        inventory = CloneInventory.of(line)
    except ValueError as error:
        return verdict(problem=f"its inventory is not understood: {error}")
    if inventory.digest != clone.digest:
        return verdict(
            problem=f"it says that its recipe digest is {inventory.digest}; its AMI's is {clone.digest}"
        )
    differing = tuple(
        sorted(
            name
            for name in expected.keys() | inventory.sections.keys()
            if inventory.sections.get(name) != expected.get(name)
        )
    )
    age = _age(clone, inventory)
    return verdict(
        sections=differing,
        differs=inventory.differs,
        age=None if age == float("inf") else round(age),
        problem=_too_old(age, max_age) if age > max_age else "",
    )


def _too_old(age: float, max_age: float) -> str:
    """Say that an inventory proves nothing about now: the clone was in order, or not, when it was made."""
    when = "of no known time (its clock is wrong)" if age == float("inf") else f"{age / 60:.0f} minutes old"
    return (
        f"its newest inventory is {when}; expected one of the last {max_age / 60:.0f} minutes: "
        "its ingot-inventory.timer does not run, its console is not read live, or the clone hangs"
    )


def _stale(verdict: CloneVerdict, digest: str) -> CloneVerdict:
    return replace(
        verdict,
        problem=f"it equals its own manifest, but the stack asks for recipe digest {digest[:12]}: "
        "is a refresh running?",
    )
