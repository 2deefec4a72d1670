"""What keeps images in S3, brings them back and verifies them: archive, restore, bundle, EC2's two tasks.

Each takes clients and what it is given, so that a process of its own can do it, and be killed.
"""

from __future__ import annotations

import pickle
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import boto3

from ingot.aws.archive.bucket import Bucket
from ingot.aws.archive.images import archive, find, manifest_of, read_disk
from ingot.aws.archive.location import ArchiveLocation
from ingot.aws.archive.stored import find_stored, restore_stored, store
from ingot.aws.instance_store.settings import bundle_settings
from ingot.aws.publish.publish import publish
from ingot.aws.publish.settings import CloneSettings, PublishSettings
from ingot.aws.registry.published import find as find_published
from ingot.aws.session.clients import Clients
from ingot.aws.verify.image import ami_of, verify_image
from tests.aws.archive.test_stored import check
from tests.aws.support import SmallImage

ARCHIVE, BUNDLES = "archive", "bundles"
LOCATION = ArchiveLocation(ARCHIVE, "golden")


@dataclass(frozen=True)
class Given:
    """The image, the test clones' template and subnets, a directory, and what says where bundles go."""

    image: SmallImage
    template: str
    subnets: tuple[str, ...]
    directory: Path
    bundles: dict[str, str]


def quiet(_message: str) -> None:
    """Progress that nobody reads."""


def bucket_of(clients: Clients) -> Bucket:
    return Bucket(clients, LOCATION, clients.sts.get_caller_identity()["Account"])


def settings(clients: Clients, given: Given) -> PublishSettings:
    return PublishSettings(
        given.directory / "records",
        CloneSettings(given.template, given.subnets, limit=600.0),
        manifest_of={given.image.digest: given.image.manifest}.get,
        pace=1.0,
        archive=str(LOCATION),
        check_snapshot=check(clients),
    )


def archived(clients: Clients, given: Given) -> None:
    """As `ingot archive` does."""
    bucket = bucket_of(clients)
    bucket.check()
    archive(bucket, given.image, b"{}", quiet)


def restored(clients: Clients, given: Given) -> None:
    """As `ingot restore` does, with a file for the store."""
    bucket = bucket_of(clients)
    bucket.check()
    manifest = manifest_of(bucket, find(bucket, "web"))
    disk = given.directory / "restored.raw"
    disk.unlink(missing_ok=True)
    read_disk(bucket, manifest, disk, quiet)
    publish(SmallImage(disk, manifest, given.image.digest), clients, settings(clients, given), quiet)


def bundled(clients: Clients, given: Given) -> None:
    """As `ingot publish` does with a root on an instance store."""
    bundles = bundle_settings(given.bundles)
    publish(given.image, clients, replace(settings(clients, given), bundles=bundles), quiet)


def stored(clients: Clients, given: Given) -> None:
    """As `ingot archive --format store-image` does."""
    bucket = bucket_of(clients)
    bucket.check()
    image = given.image
    published = find_published(clients, "web", image.digest, {image.digest: image.manifest}.get)
    assert published is not None
    store(clients, bucket, published, image.manifest, quiet)


def restored_by_ec2(clients: Clients, given: Given) -> None:
    """As `ingot restore --format store-image` does."""
    bucket = bucket_of(clients)
    bucket.check()
    restore_stored(clients, bucket, find_stored(bucket, "web"), settings(clients, given), quiet)


def verified(clients: Clients, given: Given) -> None:
    """As `ingot verify image` does."""
    known = {given.image.digest: given.image.manifest}
    ami_id = ami_of(clients, "web", given.image.digest, known.get)
    assert verify_image(clients, ami_id, manifest_of=known.get, progress=quiet).ok


WAYS = {one.__name__: one for one in (archived, restored, bundled, stored, restored_by_ec2, verified)}


if __name__ == "__main__":
    # Written by the test that runs this.
    name, endpoint, keys, given = pickle.load(sys.stdin.buffer)
    WAYS[name](Clients(boto3.Session(**keys), endpoint_url=endpoint), given)
