"""Archiving images in a bucket of one's own, and restoring them: here, in another account or region."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ingot import paths
from ingot.aws.archive.location import ArchiveKind
from ingot.errors import InputError, PublishError, VerificationError
from ingot.pipeline.app import BUILDER_STACK, require_stack
from ingot.pipeline.store import ImageChoice, baked_image, known_image
from ingot.progress import Progress
from ingot.store import Image, Store
from ingot.store.sbom import sbom

if TYPE_CHECKING:
    from ingot.aws.archive.bucket import Bucket
    from ingot.aws.archive.images import Archived, Collected, Listed
    from ingot.aws.archive.stored import Record
    from ingot.aws.publish.blocks import BlockMap
    from ingot.aws.publish.settings import CloneSettings, PublishSettings
    from ingot.aws.registry.published import Published
    from ingot.aws.session.clients import Clients
    from ingot.bake.disk.contents import Contents


@dataclass(frozen=True)
class ArchiveOptions:
    """Which archive: its URL, ``s3://BUCKET[/PREFIX]``, and the account that owns the bucket.

    ``owner`` None: the caller's account.
    """

    url: str
    owner: str | None = None


@dataclass(frozen=True)
class RestoreOptions:
    """``name``: a recipe, whose image that was archived last is meant, or the beginning of a recipe digest.

    ``publish`` False restores into the store alone. ``builder_stack`` says how test clones are launched;
    None: the one that the app in the working directory names.
    """

    name: str
    publish: bool = True
    test: bool = True
    builder_stack: str | None = None


@dataclass(frozen=True)
class Restored:
    """An image that is in the store again, and its AMI unless it was not to be published."""

    image: Image
    published: Published | None


def archive_image(
    clients: Clients, options: ArchiveOptions, choice: ImageChoice, progress: Progress
) -> Archived:
    """Write an image, baked unless the store has it, to an archive: what is not there, the manifest last."""
    from ingot.aws.archive.images import archive
    from ingot.aws.session.failures import translated

    image = baked_image(choice, progress)
    with translated(), Store().using(image):
        bucket = _open(clients, options)
        archived = archive(bucket, image, sbom(image.manifest).encode(), progress)
    progress(f"{archived.recipe} {archived.digest[:12]}: {archived.sent} of {archived.blocks} blocks sent")
    return archived


def list_archive(clients: Clients, options: ArchiveOptions) -> list[tuple[Listed, ArchiveKind]]:
    """Return the images of an archive, each with who wrote it: those of blocks first."""
    from ingot.aws.archive.images import archived_images
    from ingot.aws.archive.stored import stored_images
    from ingot.aws.session.failures import translated

    with translated():
        bucket = _open(clients, options)
        images: list[tuple[Listed, ArchiveKind]] = [
            (image, ArchiveKind.BLOCKS) for image in archived_images(bucket)
        ]
        return [*images, *((image, ArchiveKind.STORE_IMAGE) for image in stored_images(bucket))]


@dataclass(frozen=True)
class CollectedArchive:
    """What was removed of an archive: blocks, and AMIs that EC2 stored."""

    blocks: Collected
    stored: Collected

    def as_dict(self) -> dict[str, int]:
        """Return it as JSON's types."""
        return {
            "blocks": self.blocks.objects,
            "stored_images": self.stored.objects,
            "bytes": self.blocks.size + self.stored.size,
        }


def collect_archive(clients: Clients, options: ArchiveOptions) -> CollectedArchive:
    """Remove the blocks that no image of an archive has, and the stored AMIs that no record names."""
    from ingot.aws.archive.images import collect
    from ingot.aws.archive.stored import collect_stored
    from ingot.aws.session.failures import translated

    with translated():
        bucket = _open(clients, options)
        return CollectedArchive(collect(bucket), collect_stored(clients, bucket))


def restore(
    clients: Clients, archive: ArchiveOptions, options: RestoreOptions, progress: Progress
) -> Restored:
    """Restore an image into the store and publish it, with the root digest read back before it is registered.

    Raises InputError: there is no such image; VerificationError: what the archive or EBS holds is not the
    image.
    """
    from ingot.aws.archive.images import find, manifest_of, read_disk
    from ingot.aws.publish.publish import publish
    from ingot.aws.publish.settings import clone_settings
    from ingot.aws.session.failures import translated

    store = Store()
    with translated(PublishError):
        bucket = _open(clients, archive)
        entry = find(bucket, options.name)
        clone = None
        if options.publish and options.test:
            clone = clone_settings(clients, require_stack(BUILDER_STACK, options.builder_stack))
        manifest = manifest_of(bucket, entry)
        image = store.image(entry.digest)
        if image is None:
            with store.receiving(entry.digest, progress) as directory:
                read_disk(bucket, manifest, directory / "disk.raw", progress)
                (directory / "manifest.json").write_text(
                    json.dumps(manifest, sort_keys=True) + "\n", encoding="utf-8"
                )
            image = Image(entry.digest, store.images / entry.digest)
            progress(f"{entry.recipe} {entry.digest[:12]} is in the store, root digest {image.root_digest}")
        elif image.root_digest != (archived := manifest["disk"]["root_digest"]):
            raise VerificationError(
                f"{entry.recipe} {entry.digest[:12]} has the root digest {image.root_digest} in the store, "
                f"and {archived} in {bucket.location}"
            )
        else:
            progress(f"{entry.recipe} {entry.digest[:12]} is in the store already")
    if not options.publish:
        return Restored(image, None)
    settings = _settings(clients, bucket, clone, image.digest, progress)
    with store.using(image):
        return Restored(image, publish(image, clients, settings, progress))


def store_image(clients: Clients, archive: ArchiveOptions, choice: ImageChoice, progress: Progress) -> Record:
    """Have EC2 store the AMI of a published image in an archive's bucket, and wait until it has.

    Raises InputError when the image is not published, or its manifest is not on this machine.
    """
    from ingot.aws.archive.stored import store
    from ingot.aws.registry.published import find
    from ingot.aws.session.failures import translated

    image = known_image(choice)
    manifest, known = image.manifest, Store().manifest
    recipe = str(manifest["name"])
    with translated(PublishError):
        bucket = _open(clients, archive)
        published = find(clients, recipe, image.digest, known)
        if published is None:
            raise InputError(
                f"{recipe} {image.digest[:12]} is not published in {clients.region}: EC2 stores AMIs",
                hint=f"publish it: ingot publish {recipe}",
            )
        return store(clients, bucket, published, manifest, progress)


def restore_image(
    clients: Clients, archive: ArchiveOptions, options: RestoreOptions, progress: Progress
) -> Published:
    """Have EC2 restore a stored AMI, read it back, and publish it: the registry names it when it is proved.

    The image does not come into this machine's store, but its manifest does. Raises InputError: there is no
    such image; VerificationError: what EC2 restored is not the image.
    """
    from ingot.aws.archive.stored import find_stored, restore_stored
    from ingot.aws.publish.settings import clone_settings
    from ingot.aws.session.failures import translated

    with translated(PublishError):
        bucket = _open(clients, archive)
        record = find_stored(bucket, options.name)
        clone = None
        if options.test:
            clone = clone_settings(clients, require_stack(BUILDER_STACK, options.builder_stack))
    settings = _settings(clients, bucket, clone, str(record.manifest["recipe_digest"]), progress)
    settings.keep_manifest(dict(record.manifest))
    return restore_stored(clients, bucket, record, settings, progress)


def _settings(
    clients: Clients, bucket: Bucket, clone: CloneSettings | None, digest: str, progress: Progress
) -> PublishSettings:
    """Return how an image of an archive is published: what EBS holds is read back first.

    By its disk, if the store has it, a block that differs is named with its files.
    """
    from ingot.aws.publish.settings import PublishSettings
    from ingot.bake.disk.contents import contents_of, unknown

    store = Store()
    image = store.image(digest)
    contents = unknown if image is None else contents_of(image.disk)
    return PublishSettings(
        paths.store() / "records",
        clone,
        manifest_of=store.manifest,
        keep_manifest=store.keep_manifest,
        archive=f"{bucket.location}",
        check_snapshot=lambda snapshot_id, blocks: _check(clients, snapshot_id, blocks, contents, progress),
    )


def _open(clients: Clients, options: ArchiveOptions) -> Bucket:
    """Return the bucket of an archive; raise InputError when it is not one to keep images in."""
    from ingot.aws.archive.bucket import Bucket
    from ingot.aws.archive.location import ArchiveLocation

    location = ArchiveLocation.read(options.url)
    owner = options.owner or clients.sts.get_caller_identity()["Account"]
    bucket = Bucket(clients, location, owner)
    bucket.check()
    return bucket


def _check(
    clients: Clients, snapshot_id: str, blocks: BlockMap, contents: Contents, progress: Progress
) -> None:
    """Read a snapshot back; raise VerificationError unless it is, bit for bit, the disk with these blocks."""
    from ingot.aws.verify.image import read_back
    from ingot.bake.disk.contents import block_lines

    snapshot = clients.ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"][0]
    encrypted = bool(snapshot.get("Encrypted", False))
    read = read_back(clients, snapshot_id, blocks, encrypted=encrypted, progress=progress)
    if not read.equals(blocks):
        raise VerificationError(
            f"{snapshot_id} has the root digest {read.root_digest} instead of {blocks.root_digest}; these "
            "differ:\n  " + "\n  ".join(block_lines(read.differing, contents))
        )
    progress(f"{snapshot_id} read back: root digest {read.root_digest}")
