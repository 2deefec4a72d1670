"""Does every clone equal its manifest? Each says so on its console; this reads and judges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from ingot.aws import console
from ingot.aws.failures import is_missing
from ingot.aws.waiting import wait_until
from ingot.errors import VerificationError
from ingot.fleet.status import FLEET_STACK, UNKNOWN, Clone, fleet_status

if TYPE_CHECKING:
    from ingot.aws.clients import Clients

ManifestOf = Callable[[str], Mapping[str, Any] | None]
LONGEST_PAUSE = 5.0


@dataclass(frozen=True)
class CloneVerdict:
    """What one clone said of itself, judged. ``problem`` is "" when nothing is wrong.

    ``sections``: the inventory's sections that differ from the manifest. ``differs``: the paths that the clone names.
    """

    instance_id: str
    ami_id: str
    digest: str
    sections: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()
    problem: str = ""

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
    stack: str = FLEET_STACK,
    *,
    manifest_of: ManifestOf,
    progress: Callable[[str], None],
    limit: float,
) -> FleetVerdict:
    """Compare every clone's last inventory with the manifest of its AMI's recipe digest.

    Waits at most ``limit`` seconds for clones that have not reported yet. A clone whose AMI is of another digest than the stack's
    is judged by its own manifest, and named for it. Raises VerificationError when the manifest is not in the local store.
    """
    status = fleet_status(clients, stack)
    clones = [clone for clone in status.clones if not clone.lifecycle.startswith("Terminat")]
    manifests = {clone.digest: _manifest(clone, manifest_of) for clone in clones}
    reports = _collect(clients, clones, progress, limit)
    verdicts = []
    for clone in clones:
        inventory, text = reports[clone.instance_id]
        verdict = judge(clone, inventory, manifests[clone.digest], text, limit)
        if verdict.ok and clone.digest != status.digest:
            verdict = _stale(verdict, status.digest)
        verdicts.append(verdict)
    return FleetVerdict(stack, status.digest, tuple(verdicts))


def _manifest(clone: Clone, manifest_of: ManifestOf) -> Mapping[str, Any]:
    if clone.digest == UNKNOWN:
        raise VerificationError(
            f"{clone.instance_id} was launched from {clone.ami_id}, which has no tag ingot:digest: not an image of Ingot"
        )
    manifest = manifest_of(clone.digest)
    if manifest is None:
        raise VerificationError(
            f"the manifest of {clone.recipe} {clone.digest[:12]} is not in this machine's store",
            hint=f"check out the commit of that digest and run `ingot bake {clone.recipe}`: the same recipe gives the same image",
        )
    return manifest


def _collect(
    clients: Clients, clones: list[Clone], progress: Callable[[str], None], limit: float
) -> dict[str, tuple[dict[str, Any] | None, str]]:
    """Read the consoles until every clone has reported, at most ``limit`` seconds; return inventory and console of each."""
    reports: dict[str, tuple[dict[str, Any] | None, str]] = {
        clone.instance_id: (None, "") for clone in clones
    }
    told = ""

    def complete() -> bool:
        nonlocal told
        for identifier, (inventory, _) in reports.items():
            if inventory is None:
                text = _console(clients, identifier)
                reports[identifier] = (console.last_line(text, console.INVENTORY), text)
        silent = [identifier for identifier, (inventory, _) in reports.items() if inventory is None]
        line = f"waiting for the inventory of {', '.join(silent)}"
        if silent and line != told:
            told = line
            progress(line)
        return not silent

    try:
        wait_until(complete, "the clones' inventories", limit=limit, longest=LONGEST_PAUSE)
    except TimeoutError:
        # Who is silent is part of the verdict; the others are judged all the same.
        progress("some clones did not report in time")
    return reports


def _console(clients: Clients, instance_id: str) -> str:
    try:
        return console.read_console(clients, instance_id)
    except ClientError as error:
        if is_missing(error):  # replaced while we looked: it is reported as silent
            return ""
        raise


def judge(
    clone: Clone, inventory: Mapping[str, Any] | None, manifest: Mapping[str, Any], text: str, limit: float
) -> CloneVerdict:
    """Compare a clone's inventory with a manifest's; ``text`` is its console, for the message when it said nothing."""

    def verdict(**found: Any) -> CloneVerdict:  # noqa: ANN401 - the fields of CloneVerdict
        return CloneVerdict(clone.instance_id, clone.ami_id, clone.digest, **found)

    if inventory is None:
        end = console.tail(text, 10)
        return verdict(problem=f"no inventory on its console within {limit:.0f} s; the console ends:\n{end}")
    if inventory.get("digest") != clone.digest:
        return verdict(
            problem=f"it says that its recipe digest is {inventory.get('digest')}; its AMI's is {clone.digest}"
        )
    expected: Mapping[str, str] = manifest["inventory"]
    found = inventory.get("sections")
    if not isinstance(found, dict):
        return verdict(problem="its inventory has no sections")
    differing = tuple(
        sorted(name for name in expected.keys() | found.keys() if found.get(name) != expected.get(name))
    )
    return verdict(sections=differing, differs=tuple(str(path) for path in inventory.get("differs", [])))


def _stale(verdict: CloneVerdict, digest: str) -> CloneVerdict:
    return CloneVerdict(
        verdict.instance_id,
        verdict.ami_id,
        verdict.digest,
        problem=f"it equals its own manifest, but the stack asks for recipe digest {digest[:12]}: is a refresh running?",
    )
