"""Is a published AMI, bit for bit, the disk that was baked? Its snapshot is read back, block by block."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingot.aws.instance_store.bucket import BundlePlace
from ingot.aws.publish.blocks import BlockMap, disk_size
from ingot.aws.registry import amis
from ingot.aws.registry.published import ManifestOf, find, no_manifest
from ingot.aws.session import tags
from ingot.aws.session.clients import BLOCK_STREAMS
from ingot.aws.session.retry import block_retries
from ingot.aws.verify.reading import pages, read_block
from ingot.bake.disk.contents import contents_of
from ingot.blocks import BLOCK_SIZE, ZERO_DIGEST, block_count, changed, root_digest, written
from ingot.errors import InputError, PublishError, VerificationError
from ingot.progress import Progress
from ingot.quantities import size
from ingot.retry import Retries

if TYPE_CHECKING:
    from mypy_boto3_ebs.type_defs import BlockTypeDef
    from mypy_boto3_ec2.type_defs import ImageTypeDef

    from ingot.aws.session.clients import Clients

# Gives the raw disk of a recipe digest, None where it is not on this machine.
DiskOf = Callable[[str], "Path | None"]


@dataclass(frozen=True)
class ReadBack:
    """What was read: the root digest, how many blocks, and those that differ from the manifest, in order."""

    snapshot_id: str
    root_digest: str
    blocks_read: int
    differing: tuple[int, ...]

    def equals(self, blocks: BlockMap) -> bool:
        """Say whether the snapshot is, bit for bit, the disk of the manifest."""
        return not self.differing and self.root_digest == blocks.root_digest


def read_back(
    clients: Clients,
    snapshot_id: str,
    blocks: BlockMap,
    *,
    encrypted: bool,
    progress: Progress,
    pace: float = 1.0,
) -> ReadBack:
    """Read every block that the snapshot has and compare it with the manifest.

    A block that it lacks is zeros, except in an encrypted snapshot, where it would read as random data on a
    volume. Raises PublishError when a block cannot be read.
    """
    retries = block_retries(100 + len(blocks.digests), pace=pace)
    digests = _read_all(clients, snapshot_id, retries, progress)
    absent = "" if encrypted else ZERO_DIGEST
    count = len(blocks.digests)
    differing = [index for index in range(count) if digests.get(index, absent) != blocks.digest(index)]
    return _read(snapshot_id, digests, count, differing)


def read_root(
    clients: Clients, snapshot_id: str, *, encrypted: bool, progress: Progress, pace: float = 1.0
) -> ReadBack:
    """Read every block that the snapshot has, for its root digest alone, for when there is no local manifest.

    The partition table says how large the disk is. ``differing`` holds the blocks that would not be zeros on
    a volume and should be. Raises PublishError when a block cannot be read, or there is no partition table.
    """
    size = _size(clients, snapshot_id, block_retries(100, pace=pace))
    count = block_count(size)
    digests = _read_all(clients, snapshot_id, block_retries(100 + count, pace=pace), progress)
    # What an encrypted snapshot lacks reads as random data on a volume.
    absent = [index for index in range(count) if index not in digests] if encrypted else []
    return _read(snapshot_id, digests, count, absent)


def _read(snapshot_id: str, digests: Mapping[int, str], count: int, differing: list[int]) -> ReadBack:
    # Beyond the disk's end, up to the volume's last GiB, there must be nothing either.
    beyond = sorted(index for index, digest in digests.items() if index >= count and digest != ZERO_DIGEST)
    root = root_digest([digests.get(index) for index in range(count)])
    return ReadBack(snapshot_id, root, len(digests), (*differing, *beyond))


def _read_all(clients: Clients, snapshot_id: str, retries: Retries, progress: Progress) -> dict[int, str]:
    """Return the digest of each block that the snapshot has."""
    digests: dict[int, str] = {}
    with ThreadPoolExecutor(max_workers=BLOCK_STREAMS, thread_name_prefix="blocks") as pool:
        for page in pages(clients, snapshot_id, retries):
            read = pool.map(lambda block: _digest(clients, snapshot_id, block, retries), page)
            digests.update(zip((block["BlockIndex"] for block in page), read, strict=True))
            progress(f"{len(digests)} blocks read ({size(len(digests) * BLOCK_SIZE)})")
    return digests


def _size(clients: Clients, snapshot_id: str, retries: Retries) -> int:
    """Return the size of the snapshot's disk in bytes, as its partition table says."""
    first = next(pages(clients, snapshot_id, retries), [])
    head = (
        read_block(clients, snapshot_id, first[0], retries) if first and not first[0]["BlockIndex"] else b""
    )
    size = disk_size(head)
    if size is None:
        raise PublishError(f"{snapshot_id} has no partition table: not a disk of Ingot")
    return size


def _digest(clients: Clients, snapshot_id: str, block: BlockTypeDef, retries: Retries) -> str:
    """Return the SHA-256 (hex) of a block as it was read."""
    return hashlib.sha256(read_block(clients, snapshot_id, block, retries)).hexdigest()


@dataclass(frozen=True)
class ImageVerdict:
    """What was read back from an AMI's snapshot, and what the manifest says."""

    ami_id: str
    digest: str
    expected_root: str
    read: ReadBack
    ok: bool
    by_manifest: bool = True
    """False: there is no local manifest, and the AMI's own tag says what the root digest should be."""
    contents: Mapping[int, Sequence[str]] = field(default_factory=dict)
    """What the differing blocks hold on the baked disk, if it is here: paths, words for what is no file."""

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
            "contents": {str(index): list(things) for index, things in self.contents.items()},
        }


def verify_image(
    clients: Clients,
    ami_id: str,
    *,
    manifest_of: ManifestOf,
    progress: Progress,
    key: Path | None = None,
    disk_of: DiskOf = lambda _digest: None,
) -> ImageVerdict:
    """Read all blocks of an AMI's snapshot and compare them with the manifest of its recipe digest.

    ``key``: the private key by which the bundle is read of an AMI with its root on an instance store.
    ``disk_of``: the baked disk of a recipe digest, by which the files in differing blocks are named.

    Where ``manifest_of`` has none, the root digest must be that of the AMI's tag; which blocks differ is not
    known then. Raises InputError when there is no such AMI, VerificationError when neither says what it
    should be.
    """
    image = amis.describe(clients, ami_id)
    if image is None:
        raise InputError(f"there is no AMI {ami_id} in {clients.region}")
    values = tags.tags_of(image)
    if image.get("RootDeviceType") == "instance-store" and tags.DIGEST in values:
        disk = disk_of(values[tags.DIGEST])
        return _verify_bundle(clients, image, manifest_of(values[tags.DIGEST]), key, disk)
    snapshot_id = amis.snapshot_of(image)
    if tags.DIGEST not in values or not snapshot_id:
        raise VerificationError(f"{ami_id} has no tag {tags.DIGEST}, or no snapshot: not an image of Ingot")
    manifest = manifest_of(values[tags.DIGEST])
    snapshot = clients.ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"][0]
    encrypted = snapshot.get("Encrypted", False)
    if manifest is None and (root := values.get(tags.ROOT_DIGEST)):
        progress("the manifest is not on this machine: the AMI's tag says what its root digest should be")
        read = read_root(clients, snapshot_id, encrypted=encrypted, progress=progress)
        ok = not read.differing and read.root_digest == root
        return ImageVerdict(ami_id, values[tags.DIGEST], root, read, ok, by_manifest=False)
    if manifest is None:
        recipe = values.get(tags.RECIPE, "its recipe")
        raise VerificationError(
            f"the manifest of {recipe} {values[tags.DIGEST][:12]} is not in this machine's store, "
            f"and {ami_id} has no tag {tags.ROOT_DIGEST}",
            hint=f"check out the commit of that digest and run `ingot bake {recipe}`: "
            "the same recipe gives the same image",
        )
    blocks = BlockMap.of(manifest)
    read = read_back(clients, snapshot_id, blocks, encrypted=encrypted, progress=progress)
    held = _contents(disk_of(values[tags.DIGEST]), read.differing)
    ok = read.equals(blocks)
    return ImageVerdict(ami_id, values[tags.DIGEST], blocks.root_digest, read, ok, contents=held)


def _contents(disk: Path | None, blocks: Sequence[int]) -> Mapping[int, Sequence[str]]:
    return contents_of(disk)(blocks) if disk is not None and blocks else {}


def _verify_bundle(
    clients: Clients,
    image: ImageTypeDef,
    manifest: Mapping[str, Any] | None,
    key: Path | None,
    disk: Path | None,
) -> ImageVerdict:
    from ingot.aws.instance_store.images import read_bundle
    from ingot.aws.instance_store.keys import load_private_key

    values, place = tags.tags_of(image), BundlePlace.of_image(image.get("ImageLocation", ""))
    if key is None:
        raise InputError(
            f"{image['ImageId']} stands on the bundle {place}, which takes its maker's key to read",
            hint="name the key's file in EC2_PRIVATE_KEY",
        )
    expected = values.get(tags.ROOT_DIGEST, "") if manifest is None else str(manifest["disk"]["root_digest"])
    blocks = () if manifest is None else BlockMap.of(manifest).digests
    found = read_bundle(clients, place, load_private_key(key), blocks, partial(_contents, disk))
    differing = [] if manifest is None else changed(found.blocks, blocks)
    read = ReadBack(str(place), found.root_digest, len(written(found.blocks)), tuple(differing))
    ok = not differing and found.root_digest == expected
    held, by_manifest = _contents(disk, differing), manifest is not None
    return ImageVerdict(image["ImageId"], values[tags.DIGEST], expected, read, ok, by_manifest, held)


def ami_of(clients: Clients, recipe: str, digest: str, manifest_of: ManifestOf = no_manifest) -> str:
    """Return the AMI that the registry names for a recipe digest.

    Raises VerificationError when it names none, or another than the digest's image.
    """
    published = find(clients, recipe, digest, manifest_of)
    if published is None:
        raise VerificationError(
            f"{recipe} {digest[:12]} is not published in {clients.region}",
            hint=f"publish it: ingot publish {recipe}",
        )
    return published.ami_id
