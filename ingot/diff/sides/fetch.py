"""Published images, fetched back: the blocks of an AMI's snapshot as a disk, and its manifest."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingot.aws.registry import amis
from ingot.aws.session import tags
from ingot.aws.session.clients import Clients
from ingot.aws.session.failures import AwsError, explain, hint_for
from ingot.aws.verify.reading import download_disk
from ingot.bake.runtime.rights import remove_tree
from ingot.diff.sides.rebuild import rebuild_manifest
from ingot.errors import InputError
from ingot.locks import locked
from ingot.progress import Progress
from ingot.store import Store

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import ImageTypeDef


class Registry:
    """What is published in one region."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self.region = clients.region

    def find(self, digest: str) -> str | None:
        """Return the account's AMI whose recipe digest begins with ``digest``; None without one.

        Raises InputError when there are several digests, or AWS cannot be asked.
        """
        with _asked(self.region):
            pages = self._clients.ec2.get_paginator("describe_images").paginate(
                Owners=["self"], Filters=[{"Name": "tag-key", "Values": [tags.DIGEST]}]
            )
            # The snapshot of an AMI that is still pending is complete: it can be read.
            images = [i for page in pages for i in page["Images"] if i["State"] in ("available", "pending")]
        found = [
            (image_digest, image["ImageId"])
            for image in images
            if (image_digest := _digest(image)).startswith(digest)
        ]
        digests = {image_digest for image_digest, _ in found}
        if len(digests) > 1:
            raise InputError(
                f"{len(digests)} published images have digests that begin with {digest}",
                hint="give more digits",
            )
        return found[0][1] if found else None

    def digests(self, ami_id: str) -> tuple[str, str]:
        """Return an AMI's recipe digest and root digest, from its tags.

        Raises InputError for what is not an image of Ingot.
        """
        with _asked(self.region):
            image = amis.describe(self._clients, ami_id)
        if image is None:
            raise InputError(
                f"there is no AMI {ami_id} in {self.region}", hint="is it in another region or account?"
            )
        image_tags = tags.tags_of(image)
        if tags.DIGEST not in image_tags or not amis.snapshot_of(image):
            raise InputError(f"{ami_id} has no tag {tags.DIGEST}, or no snapshot: not an image of Ingot")
        return image_tags[tags.DIGEST], image_tags.get(tags.ROOT_DIGEST, "")

    @contextmanager
    def fetched(self, ami_id: str, store: Store, progress: Progress) -> Iterator[tuple[dict[str, Any], Path]]:
        """Yield the manifest and the disk of an AMI; both go at the end.

        Raises PublishError when a block cannot be read.
        """
        with _asked(self.region):
            image = amis.describe(self._clients, ami_id)
        if image is None:
            raise InputError(f"there is no AMI {ami_id} in {self.region}")
        # A place of this process's own: two that fetch the same images in another order must not wait for
        # each other.
        work = store.work / f"fetched-{ami_id}-{os.getpid()}"
        lock = work.with_name(f"{work.name}.lock")
        # The lock keeps those from removing it who clear up what killed processes left.
        with locked(lock, waiting=lambda: None):
            remove_tree(work)
            work.mkdir(parents=True)
            try:
                disk = work / "disk.raw"
                progress(f"fetching {ami_id}")
                download_disk(self._clients, amis.snapshot_of(image), disk, progress)
                yield rebuild_manifest(disk, ami_id, str(image["Architecture"])), disk
            finally:
                remove_tree(work)
                lock.unlink()


def _digest(image: ImageTypeDef) -> str:
    return tags.tags_of(image).get(tags.DIGEST, "")


@contextmanager
def _asked(region: str) -> Iterator[None]:
    """Turn a refusal of AWS, or the lack of credentials, into a sentence."""
    try:
        yield
    except AwsError as error:
        raise InputError(
            f"AWS in {region} cannot be asked: {explain(error)}", hint=hint_for(error)
        ) from error
