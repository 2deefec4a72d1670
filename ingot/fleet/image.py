"""Is a published AMI, bit for bit, the disk that was baked?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ingot.aws.publish import ami, registry
from ingot.aws.publish.blocks import BlockMap
from ingot.aws.session import tags
from ingot.aws.verify.readback import ReadBack, read_back, read_root
from ingot.errors import InputError, VerificationError
from ingot.progress import Progress

if TYPE_CHECKING:
    from ingot.aws.session.clients import Clients

ManifestOf = Callable[[str], Mapping[str, Any] | None]


@dataclass(frozen=True)
class ImageVerdict:
    """What was read back from an AMI's snapshot, and what the manifest says."""

    ami_id: str
    digest: str
    expected_root: str
    read: ReadBack
    ok: bool
    by_manifest: bool = True
    """False: the manifest is not at hand, and the AMI's own tag says what the root digest should be."""

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON's types; all differing blocks."""
        return {
            "ami": self.ami_id,
            "snapshot": self.read.snapshot_id,
            "digest": self.digest,
            "ok": self.ok,
            "root_digest": self.read.root_digest,
            "expected_root_digest": self.expected_root,
            "expected_by": "manifest" if self.by_manifest else "tag",
            "blocks_read": self.read.blocks_read,
            "differing_blocks": list(self.read.differing),
        }


def verify_image(
    clients: Clients, ami_id: str, *, manifest_of: ManifestOf, progress: Progress
) -> ImageVerdict:
    """Read all blocks of an AMI's snapshot and compare them with the manifest of its recipe digest.

    Where ``manifest_of`` has none, the root digest must be that of the AMI's tag; which blocks differ is not known then. Raises
    InputError when the AMI is not there, VerificationError when neither tells what it should be.
    """
    image = ami.describe(clients, ami_id)
    if image is None:
        raise InputError(f"there is no AMI {ami_id} in {clients.region}")
    told = tags.tags_of(image)
    snapshot_id = ami.snapshot_of(image)
    if tags.DIGEST not in told or not snapshot_id:
        raise VerificationError(f"{ami_id} has no tag {tags.DIGEST}, or no snapshot: not an image of Ingot")
    manifest = manifest_of(told[tags.DIGEST])
    shot = clients.ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"][0]
    encrypted = shot.get("Encrypted", False)
    if manifest is None and (root := told.get(tags.ROOT_DIGEST)):
        progress("the manifest is not on this machine: the AMI's tag says what its root digest should be")
        read = read_root(clients, snapshot_id, encrypted=encrypted, progress=progress)
        ok = not read.differing and read.root_digest == root
        return ImageVerdict(ami_id, told[tags.DIGEST], root, read, ok, by_manifest=False)
    if manifest is None:
        recipe = told.get(tags.RECIPE, "its recipe")
        raise VerificationError(
            f"the manifest of {recipe} {told[tags.DIGEST][:12]} is not in this machine's store, and {ami_id} has no tag {tags.ROOT_DIGEST}",
            hint=f"check out the commit of that digest and run `ingot bake {recipe}`: the same recipe gives the same image",
        )
    blocks = BlockMap.of(manifest)
    read = read_back(clients, snapshot_id, blocks, encrypted=encrypted, progress=progress)
    return ImageVerdict(ami_id, told[tags.DIGEST], blocks.root_digest, read, read.equals(blocks))


def ami_of(clients: Clients, recipe: str, digest: str) -> str:
    """Return the AMI that the registry names for a recipe digest; raises VerificationError when it names none."""
    found = registry.lookup(clients.ssm, recipe, digest)
    if found is None:
        raise VerificationError(
            f"{recipe} {digest[:12]} is not published in {clients.region}",
            hint=f"publish it: ingot publish {recipe}",
        )
    return found
