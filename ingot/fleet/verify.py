"""Does every clone equal its manifest? Each says so on its console; this reads and judges."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingot import retry
from ingot.aws.instances import console
from ingot.aws.registry.identity import Claim, root_digest_of
from ingot.aws.registry.published import ManifestOf, find
from ingot.aws.session import tags
from ingot.aws.session.pace import Pace
from ingot.aws.session.waiting import wait_until
from ingot.errors import VerificationError
from ingot.fleet.consoles import limit_for, read_consoles
from ingot.fleet.inventory import FRESH, SETTLED, CloneInventory, newest
from ingot.fleet.proved import Proof, Proofs
from ingot.fleet.sample import CONFIDENCE, chosen, most_bad
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
    """The verdicts on clones of a fleet.

    ``fleet``: how many clones it has; more than there are verdicts when a sample of them was asked.
    """

    stack: str
    digest: str
    clones: tuple[CloneVerdict, ...]
    fleet: int

    @property
    def ok(self) -> bool:
        """Whether there are clones, and all that were asked equal their manifests."""
        return bool(self.clones) and all(clone.ok for clone in self.clones)

    @property
    def is_sample(self) -> bool:
        """Whether some clones were not asked."""
        return len(self.clones) < self.fleet

    @property
    def most_bad(self) -> int:
        """How many clones of the fleet do not equal their manifests at the most; of a sample, with a
        confidence of 95 %.
        """
        return most_bad(self.fleet, len(self.clones), sum(not clone.ok for clone in self.clones))

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON's types."""
        clones = [{**asdict(clone), "ok": clone.ok} for clone in self.clones]
        found = {"stack": self.stack, "digest": self.digest, "ok": self.ok, "clones": clones}
        if self.is_sample:
            return {**found, "fleet": self.fleet, "most_bad": self.most_bad, "confidence": CONFIDENCE}
        return {**found, "fleet": self.fleet}


@dataclass(frozen=True)
class VerifyOptions:
    """How clones are asked.

    ``limit``: seconds to wait for clones whose newest inventory is absent or older than ``max_age`` seconds;
    None stands for a limit by their number, from when the youngest takes its first inventory. ``sample``: so
    many clones, chosen at random; None: all. ``kept``: the directory in which a run that asks all keeps what
    it has proved, for the next one if it is broken off; None: nothing is kept. ``restart``: what is kept
    there does not count.
    """

    limit: float | None = None
    max_age: float = FRESH
    sample: int | None = None
    kept: Path | None = None
    restart: bool = False


@dataclass(frozen=True)
class Heard:
    """What a clone's console says: its newest inventory; or, without one, how it ends, for people.

    ``problem``: why it could not be read; "" when it could.
    """

    inventory: Mapping[str, Any] | None
    end: str = ""
    problem: str = ""


def hear(text: str, problem: str = "") -> Heard:
    """Return what counts of a console."""
    inventory = newest(text)
    return Heard(inventory, "" if inventory is not None else console.tail(text, 10), problem)


def verify_fleet(
    clients: Clients,
    stack: str,
    *,
    manifest_of: ManifestOf,
    progress: Progress,
    options: VerifyOptions = VerifyOptions(),
) -> FleetVerdict:
    """Compare every clone's newest inventory with what its AMI's image holds.

    The manifest of the recipe digest that the AMI is tagged with says what it holds, or, where
    ``manifest_of`` has none, the AMI's own tags. What is wrong with one clone does not keep the others from
    being judged. Raises IngotError when there is no fleet.
    """
    status = fleet_status(clients, stack)
    find(clients, status.recipe, status.digest, manifest_of)
    clones = [clone for clone in status.clones if not clone.lifecycle.startswith("Terminat")]
    asked = clones
    if options.sample is not None and options.sample < len(clones):
        asked = sorted(chosen(clones, options.sample), key=lambda clone: clone.instance_id)
    all_asked = len(asked) == len(clones)
    proofs = Proofs.of(options.kept if all_asked else None, status.account, clients.region, stack)
    if options.restart:
        proofs.forget()
    limit = limit_for(len(asked)) + _until_settled(asked) if options.limit is None else options.limit
    run = _Verification(status, manifest_of, proofs, replace(options, limit=limit))
    run.collect(clients, asked, progress)
    verdicts = tuple(map(run.verdict, asked))
    proofs.forget()
    return FleetVerdict(stack, status.digest, verdicts, len(clones))


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


class _Verification:
    """One verification: what was heard of each clone, and the verdicts on that."""

    def __init__(
        self, status: FleetStatus, manifest_of: ManifestOf, proofs: Proofs, options: VerifyOptions
    ) -> None:
        self._status = status
        self._manifest_of = manifest_of
        self._proofs = proofs
        self._limit, self._max_age = options.limit or 0.0, options.max_age
        self._expected: dict[str, Mapping[str, str]] = {}
        self._heard: dict[str, Heard] = {}
        self._proved: dict[str, CloneVerdict] = {}

    def collect(self, clients: Clients, clones: list[Clone], progress: Progress) -> None:
        """Read the clones' consoles until every newest inventory is fresh, or the limit is over."""
        self._expected = {clone.instance_id: _expected(clone, self._manifest_of) for clone in clones}
        judged = {clone.instance_id: clone for clone in clones if self._expected[clone.instance_id]}
        awaited = [clone for clone in judged.values() if not self._is_proved(clone)]
        if len(awaited) < len(judged):
            progress(
                f"{len(judged) - len(awaited):,} of {number(len(judged), 'clone')} proved already, by a run "
                "that was broken off; --restart asks them again"
            )
        reported = ""
        pace = Pace()

        def take(instance_id: str, text: str, problem: str) -> Heard:
            heard = hear(text, problem)
            self._keep(judged[instance_id], heard)
            return heard

        def complete() -> bool:
            nonlocal reported
            ids = [clone.instance_id for clone in awaited]
            self._heard.update(read_consoles(clients, ids, pace, take))
            awaited[:] = [c for c in awaited if _is_late(c, self._heard[c.instance_id], self._max_age)]
            line = f"waiting for the inventory of {_named([clone.instance_id for clone in awaited])}"
            if _until_settled(awaited):
                line += f": on EBS a clone takes its first one {SETTLED / 60:.0f} minutes after it booted"
            if awaited and line != reported:
                reported = line
                progress(line)
            return not awaited

        try:
            wait_until(complete, "the clones' inventories", limit=self._limit, longest=LONGEST_PAUSE)
        except TimeoutError:
            # A silent clone is part of the verdict; the others are judged all the same.
            progress("some clones did not report in time")

    def _is_proved(self, clone: Clone) -> bool:
        """Tell whether a run that was broken off has proved a clone, by an inventory that is still fresh."""
        at = self._proofs.at(clone.instance_id, clone.ami_id, clone.digest, max_age=self._max_age)
        if at is not None:
            verdict = CloneVerdict(clone.instance_id, clone.ami_id, clone.digest)
            self._proved[clone.instance_id] = replace(verdict, age=round(retry.wall() - at))
        return at is not None

    def _keep(self, clone: Clone, heard: Heard) -> None:
        """Keep the proof when a clone has just given one: the run may be broken off at any moment."""
        verdict = self._judge(clone, heard)
        if verdict.ok and verdict.age is not None:
            at = retry.wall() - verdict.age
            self._proofs.add(Proof(clone.instance_id, clone.ami_id, clone.digest, at))

    def _judge(self, clone: Clone, heard: Heard) -> CloneVerdict:
        expected = self._expected[clone.instance_id]
        return judge(clone, expected, heard, limit=self._limit, max_age=self._max_age)

    def verdict(self, clone: Clone) -> CloneVerdict:
        """Return the verdict on a clone by what was heard of it."""
        wrong_image = wrong_image_of(self._status, clone, self._manifest_of)
        if wrong_image and clone.digest != UNKNOWN:
            return CloneVerdict(clone.instance_id, clone.ami_id, clone.digest, problem=wrong_image)
        if not self._expected[clone.instance_id]:
            return CloneVerdict(clone.instance_id, clone.ami_id, clone.digest, problem=_unknown(clone))
        proved = self._proved.get(clone.instance_id)
        verdict = proved or self._judge(clone, self._heard[clone.instance_id])
        if verdict.ok and clone.digest != self._status.digest:
            return _stale(verdict, self._status.digest)
        return verdict


def _until_settled(clones: Collection[Clone]) -> float:
    """Return the seconds until the youngest clone takes its first inventory; 0 when all have begun."""
    launched = [clone.launched for clone in clones if clone.launched is not None]
    return max(0.0, max(launched) + SETTLED - time.time()) if launched else 0.0


def _named(instance_ids: list[str]) -> str:
    left = len(instance_ids) - NAMED
    return ", ".join(instance_ids[:NAMED]) + (f" and {number(left, 'other clone')}" if left > 0 else "")


def _is_late(clone: Clone, heard: Heard, max_age: float) -> bool:
    """Tell whether a newer inventory may come: there is none of this boot, or it is too old."""
    if heard.inventory is None:
        return True
    try:
        return _age(clone, CloneInventory.of(heard.inventory)) > max_age
    except ValueError:  # waiting does not change what the image says
        return False


def _age(clone: Clone, inventory: CloneInventory) -> float:
    return inventory.age(launched=clone.launched, now=time.time())


def judge(
    clone: Clone, expected: Mapping[str, str], heard: Heard, *, limit: float, max_age: float = FRESH
) -> CloneVerdict:
    """Compare the newest inventory that was heard of a clone with its image's sections."""

    def verdict(**fields: Any) -> CloneVerdict:  # noqa: ANN401 - the fields of CloneVerdict
        return CloneVerdict(clone.instance_id, clone.ami_id, clone.digest, **fields)

    if heard.problem:
        return verdict(problem=f"its console could not be read within {limit:.0f} s: {heard.problem}")
    if heard.inventory is None:
        return verdict(
            problem=f"no inventory on its console within {limit:.0f} s; the console ends:\n{heard.end}"
        )
    try:
        inventory = CloneInventory.of(heard.inventory)
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
        f"its newest inventory is {when}; the limit is {max_age / 60:.0f} minutes: "
        "its ingot-inventory.timer does not run, its console is not read live, or the clone hangs"
    )


def _stale(verdict: CloneVerdict, digest: str) -> CloneVerdict:
    return replace(
        verdict,
        problem=f"it equals its own manifest, but the stack asks for recipe digest {digest[:12]}: "
        "is a refresh running?",
    )
