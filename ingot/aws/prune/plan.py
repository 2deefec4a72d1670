"""What a prune would remove, and why the rest stays. Only looks."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ingot.aws.prune.uses import TemplateVersion, Uses, find_uses, shared_with
from ingot.aws.publish.cleanup.leftovers import OLD
from ingot.aws.registry import entries
from ingot.aws.session import tags

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import FilterTypeDef, ImageTypeDef, SnapshotTypeDef

    from ingot.aws.session.clients import Clients

# Clones' volumes have the recipe's tag, too, and whoever backs them up may copy it: what a publish made has
# all three.
OURS = (tags.RECIPE, tags.DIGEST, tags.PUBLISH_ID)
OF_INGOT: list[FilterTypeDef] = [{"Name": "tag-key", "Values": [tags.PUBLISH_ID]}]


@dataclass(frozen=True)
class Rules:
    """What stays whether it is used or not.

    ``keep``: the newest images of each recipe that the registry names. ``min_age``: what is younger.
    ``versions``: how many of the newest versions of each launch template of a fleet; None: all. ``recipes``:
    look at these alone; empty: at all.
    """

    keep: int = 5
    min_age: dt.timedelta = dt.timedelta(days=7)
    versions: int | None = None
    recipes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judged:
    """An AMI of Ingot, its snapshots, and why it stays: empty for one that goes.

    ``bundle``: the place of its manifest, of one with its root on an instance store.
    """

    ami_id: str
    recipe: str
    digest: str
    created: dt.datetime
    snapshots: tuple[str, ...]
    reasons: tuple[str, ...]
    bundle: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON's types."""
        return {
            "ami": self.ami_id,
            "recipe": self.recipe,
            "digest": self.digest,
            "made": self.created.isoformat(),
            "snapshots": list(self.snapshots),
            **({} if self.bundle is None else {"bundle": self.bundle}),
            "reasons": list(self.reasons),
        }


@dataclass(frozen=True)
class PrunePlan:
    """All AMIs of Ingot, judged; snapshots whose AMI is gone; versions of launch templates that go first."""

    images: tuple[Judged, ...]
    snapshots: tuple[str, ...]
    versions: tuple[TemplateVersion, ...]
    recipes: tuple[str, ...]
    """Every recipe that the account has an AMI or a snapshot of, whether it was asked for or not."""

    @property
    def going(self) -> tuple[Judged, ...]:
        """The AMIs that go."""
        return tuple(image for image in self.images if not image.reasons)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to remove."""
        return not (self.going or self.snapshots or self.versions)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON's types."""
        return {
            "remove": [image.as_dict() for image in self.going],
            "keep": [image.as_dict() for image in self.images if image.reasons],
            "snapshots": list(self.snapshots),
            "launch_template_versions": [[v.template_id, v.number] for v in self.versions],
        }


def plan_prune(clients: Clients, rules: Rules, now: dt.datetime) -> PrunePlan:
    """Look at the account and say what goes. Raises botocore's errors: what cannot be seen is not removed."""
    everything = _all_images(clients)
    images = [image for image in everything if _is_ours(image)]
    chosen = [image for image in images if _recipe(image) in rules.recipes or not rules.recipes]
    uses = find_uses(clients)
    versions = _superfluous(uses, rules)
    judge = _Judge(clients, uses, versions, _newest(clients, chosen, rules.keep), rules, now)
    judged = tuple(sorted(map(judge, chosen), key=lambda one: (one.recipe, one.created)))
    snapshots = _own_snapshots(clients)
    recipes = {tags.tags_of(thing)[tags.RECIPE] for thing in (*images, *snapshots)}
    return PrunePlan(
        judged, tuple(_orphans(snapshots, everything, rules, now)), versions, tuple(sorted(recipes))
    )


def own_images(clients: Clients) -> list[ImageTypeDef]:
    """Return the account's AMIs of Ingot, disabled and deprecated ones included."""
    return [image for image in _all_images(clients) if _is_ours(image)]


def _all_images(clients: Clients) -> list[ImageTypeDef]:
    """Return the account's AMIs, Ingot's or not: any of them may stand on a snapshot of Ingot's."""
    images: list[ImageTypeDef] = []
    pages = clients.ec2.get_paginator("describe_images")
    for page in pages.paginate(Owners=["self"], IncludeDisabled=True, IncludeDeprecated=True):
        images.extend(page["Images"])
    return images


def _is_ours(thing: Mapping[str, Any]) -> bool:
    values = tags.tags_of(thing)
    return all(values.get(key) for key in OURS)


def _recipe(image: Mapping[str, Any]) -> str:
    return tags.tags_of(image).get(tags.RECIPE, "")


def made_at(image: Mapping[str, Any]) -> dt.datetime:
    """Return when an AMI was registered."""
    return dt.datetime.fromisoformat(str(image["CreationDate"]).replace("Z", "+00:00"))


def _newest(clients: Clients, images: Sequence[ImageTypeDef], keep: int) -> frozenset[str]:
    """Return the newest AMIs of each recipe that the registry names, ``keep`` of each.

    The registry is asked about the newest first, and about no more than it takes: it has an entry for every
    image that was ever published, and a call reads ten of them (GetParameters; GetParametersByPath likewise).
    """
    of_recipe: dict[str, list[ImageTypeDef]] = defaultdict(list)
    for image in sorted(images, key=made_at):
        if image["State"] == "available":
            of_recipe[_recipe(image)].append(image)
    newest: dict[str, list[str]] = {recipe: [] for recipe in of_recipe}
    while True:
        asked = [
            group.pop()
            for recipe, group in of_recipe.items()
            for _ in range(min(len(group), keep - len(newest[recipe])))
        ]
        if not asked:
            return frozenset(ami_id for found in newest.values() for ami_id in found)
        held = entries.lookup_all(clients.ssm, [(_recipe(image), _digest(image)) for image in asked])
        for image in asked:
            if held.get((_recipe(image), _digest(image))) == image["ImageId"]:
                newest[_recipe(image)].append(image["ImageId"])


def _digest(image: Mapping[str, Any]) -> str:
    return tags.tags_of(image)[tags.DIGEST]


def _superfluous(uses: Uses, rules: Rules) -> tuple[TemplateVersion, ...]:
    """Return the versions of fleets' launch templates that are neither among the newest nor named."""
    if rules.versions is None:
        return ()
    of_template: dict[str, list[TemplateVersion]] = defaultdict(list)
    for version in uses.versions:
        if version.ours:
            of_template[version.template_id].append(version)
    return tuple(
        version
        for group in of_template.values()
        for version in sorted(group, key=lambda v: v.number, reverse=True)[rules.versions :]
        if not (version.default or version.latest)
        and (version.template_id, version.number) not in uses.wanted_versions
    )


@dataclass(frozen=True)
class _Judge:
    """What decides whether an AMI goes. ``going``: versions of launch templates, which use none any more."""

    clients: Clients
    uses: Uses
    going: Sequence[TemplateVersion]
    newest: frozenset[str]
    rules: Rules
    now: dt.datetime

    def __call__(self, image: ImageTypeDef) -> Judged:
        values = tags.tags_of(image)
        return Judged(
            image["ImageId"],
            values.get(tags.RECIPE, ""),
            values.get(tags.DIGEST, ""),
            made_at(image),
            tuple(_snapshots_of(image)),
            tuple(self._reasons(image, values)),
            image.get("ImageLocation") if image.get("RootDeviceType") == "instance-store" else None,
        )

    def _reasons(self, image: ImageTypeDef, values: Mapping[str, str]) -> list[str]:
        reasons = list(reasons_of(image["ImageId"], self.uses, self.going))
        if image["ImageId"] in self.newest:
            reasons.append(f"one of the newest {self.rules.keep} of {values[tags.RECIPE]}")
        if self.now - made_at(image) < self.rules.min_age:
            reasons.append(f"younger than {self.rules.min_age.days} days")
        if values.get(tags.STATE) == tags.IN_PROGRESS:
            reasons.append(
                "is being published, or was left by a publish that died: the next publish removes it"
            )
        if str(image.get("DeregistrationProtection", "")).startswith("enabled"):
            reasons.append("is protected from deregistration")
        # One call for each AMI: asked last, and only of those that would go.
        if not reasons and (shared := shared_with(self.clients, image)):
            reasons.append(f"is shared with {shared}")
        return reasons


def reasons_of(ami_id: str, uses: Uses, going: Sequence[TemplateVersion] = ()) -> Iterator[str]:
    """Say who uses an AMI, launch template versions that are ``going`` left out."""
    yield from (f"used by {user}" for user in uses.by_ami.get(ami_id, ()))
    yield from (
        f"used by {version}" for version in uses.versions if version.ami_id == ami_id and version not in going
    )


def _snapshots_of(image: Mapping[str, Any]) -> Iterator[str]:
    for mapping in image.get("BlockDeviceMappings", []):
        if "SnapshotId" in mapping.get("Ebs", {}):
            yield mapping["Ebs"]["SnapshotId"]


def _own_snapshots(clients: Clients) -> list[SnapshotTypeDef]:
    """Return the account's snapshots of Ingot."""
    pages = clients.ec2.get_paginator("describe_snapshots")
    return [
        snapshot
        for page in pages.paginate(OwnerIds=["self"], Filters=OF_INGOT)
        for snapshot in page["Snapshots"]
        if _is_ours(snapshot)
    ]


def _orphans(
    snapshots: Sequence[SnapshotTypeDef], images: Sequence[ImageTypeDef], rules: Rules, now: dt.datetime
) -> Iterator[str]:
    """Give the snapshots of Ingot that no AMI uses: someone deregistered it and left them."""
    used = {snapshot_id for image in images for snapshot_id in _snapshots_of(image)}
    for snapshot in snapshots:
        values = tags.tags_of(snapshot)
        if rules.recipes and values[tags.RECIPE] not in rules.recipes:
            continue
        # One in progress has no AMI yet; what a dead publish left, the next publish removes.
        old = now - snapshot["StartTime"] >= max(rules.min_age, OLD)
        if snapshot["SnapshotId"] not in used and old and values.get(tags.STATE) != tags.IN_PROGRESS:
            yield snapshot["SnapshotId"]
