"""Archiving images and reading them back: blocks by SHA-256, each sent and kept once."""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ingot.aws.archive.bucket import Bucket
from ingot.aws.archive.location import ArchiveLocation
from ingot.aws.publish.blocks import BlockMap, DiskReader
from ingot.aws.publish.image import DiskImage
from ingot.aws.session.objects import PAGE
from ingot.bake.disk.contents import NAMED, contents_of, in_it
from ingot.blocks import BLOCK_SIZE
from ingot.errors import IngotError, InputError, PublishError, VerificationError
from ingot.progress import Progress
from ingot.quantities import number

T = TypeVar("T")
R = TypeVar("R")
# How many objects travel at a time: as many as botocore keeps connections.
STREAMS = 10
# A page of the list of blocks is read for so many blocks of a disk: a hundredth of asking for each of them.
PER_PAGE = 100
# Blocks without an image are kept for a day: an archive that is under way writes its manifest last.
GRACE = timedelta(days=1)
_MANIFEST = re.compile(r"(?P<recipe>[a-z0-9][a-z0-9-]*)/(?P<digest>[0-9a-f]{64})\.json")


@dataclass(frozen=True)
class Archived:
    """What an archiving did: ``sent`` and ``blocks`` count blocks, those that travelled and all of the disk's
    that are not zeros.
    """

    recipe: str
    digest: str
    root_digest: str
    blocks: int
    sent: int

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON's types."""
        return {
            "recipe": self.recipe,
            "digest": self.digest,
            "root_digest": self.root_digest,
            "blocks": self.blocks,
            "sent": self.sent,
            "sent_bytes": self.sent * BLOCK_SIZE,
        }


@dataclass(frozen=True)
class ArchivedImage:
    """An image in a list of an archive."""

    recipe: str
    digest: str
    written: datetime


@dataclass(frozen=True)
class Collected:
    """What a garbage collection removed: how many objects, and their bytes."""

    objects: int
    size: int


def archive(bucket: Bucket, image: DiskImage, bill_of_materials: bytes, progress: Progress) -> Archived:
    """Write an image's blocks that the archive lacks, then its bill of materials and its manifest.

    Interrupted anywhere, the next run goes on from there: an image is in the archive when its manifest is.
    Raises PublishError when the disk is not what the manifest says.
    """
    manifest, location = image.manifest, bucket.location
    recipe, blocks = str(manifest["name"]), BlockMap.of(manifest)
    first = {digest: index for index, digest in reversed([*enumerate(blocks.digests)]) if digest is not None}

    with DiskReader(image.disk, blocks) as reader:
        listed, beyond = _listed(bucket, PAGE * (1 + len(first) // PER_PAGE))

        def send(digest: str) -> bool:
            key = location.block(digest)
            may_be_there = key in listed or (beyond is not None and key > beyond)
            if may_be_there and bucket.has(key, digest, BLOCK_SIZE):
                return False
            data, _ = reader.read(first[digest])
            bucket.put(key, data, digest)
            return True

        sent = sum(_each(send, sorted(first, key=first.__getitem__), "blocks compared", progress))
    for key, data in (
        (location.bill_of_materials(recipe, image.digest), bill_of_materials),
        (location.manifest(recipe, image.digest), json.dumps(manifest, sort_keys=True).encode() + b"\n"),
    ):
        bucket.put(key, data, hashlib.sha256(data).hexdigest(), "application/json")
    return Archived(recipe, image.digest, blocks.root_digest, len(first), sent)


def _listed(bucket: Bucket, most: int) -> tuple[set[str], str | None]:
    """Return the keys of the archive's first blocks, at most so many, and the last of them; None when these
    are all: what the list lacks need not be asked for one by one.
    """
    keys = [entry.key for entry in islice(bucket.objects(bucket.location.blocks), most)]
    return set(keys), keys[-1] if len(keys) == most else None


def archived_images(bucket: Bucket) -> Iterator[ArchivedImage]:
    """Give the images of an archive, by recipe and digest."""
    images = bucket.location.images
    for entry in bucket.objects(images):
        match = _MANIFEST.fullmatch(entry.key.removeprefix(images))
        if match is not None:
            yield ArchivedImage(match["recipe"], match["digest"], entry.written)


def find(bucket: Bucket, word: str) -> ArchivedImage:
    """Return the image of that recipe, the one written last, or the one whose digest begins so.

    Raises InputError when there is none, or several digests begin so.
    """
    return newest([*archived_images(bucket)], word, bucket.location)


class Listed(Protocol):
    """An image in a list."""

    @property
    def recipe(self) -> str:
        """The recipe's name."""

    @property
    def digest(self) -> str:
        """The recipe digest."""

    @property
    def written(self) -> datetime:
        """When it was written."""


L = TypeVar("L", bound=Listed)


def newest(images: Sequence[L], word: str, location: ArchiveLocation) -> L:
    """Return the image of that recipe, the one written last, or the one whose digest begins so.

    Raises InputError when there is none, or several digests begin so.
    """
    of_recipe = [image for image in images if image.recipe == word]
    if of_recipe:
        return max(of_recipe, key=lambda image: image.written)
    found = [image for image in images if word and image.digest.startswith(word)]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(
            f"{len(found)} images in {location} have digests that begin with {word}",
            hint="give more digits",
        )
    raise InputError(
        f"there is no image {word!r} in {location}",
        hint=f"list what is there with: ingot archive ls {location}",
    )


def manifest_of(bucket: Bucket, image: ArchivedImage) -> dict[str, Any]:
    """Return an archived image's manifest; raise VerificationError when it is not of that image."""
    manifest = manifest_if_there(bucket, image.recipe, image.digest)
    if manifest is None:
        key = bucket.location.manifest(image.recipe, image.digest)
        raise InputError(f"there is no s3://{bucket.location.bucket}/{key}: it was removed a moment ago")
    return manifest


def manifest_if_there(bucket: Bucket, recipe: str, digest: str) -> dict[str, Any] | None:
    """Return the manifest of a recipe digest, None when it is not archived.

    Raises VerificationError when it is not of that image.
    """
    key = bucket.location.manifest(recipe, digest)
    data = bucket.get(key)
    if data is None:
        return None
    try:
        manifest = json.loads(data)
        named = (manifest["name"], manifest["recipe_digest"])
        BlockMap.of(manifest)
    except (ValueError, LookupError, TypeError, RecursionError, PublishError) as error:
        why = error.message if isinstance(error, IngotError) else repr(error)
        raise VerificationError(f"s3://{bucket.location.bucket}/{key} is damaged: {why}") from error
    if named != (recipe, digest):
        raise VerificationError(
            f"s3://{bucket.location.bucket}/{key} is the manifest of {named[0]} {str(named[1])[:12]}"
        )
    return dict(manifest)


def read_disk(bucket: Bucket, manifest: Mapping[str, Any], target: Path, progress: Progress) -> None:
    """Write an archived disk to the file ``target``, with holes where it has zeros.

    Each block is held against its SHA-256, so the disk has the manifest's root digest. Raises
    VerificationError when blocks are missing or damaged, naming each, and the files that lie in it.
    """
    blocks = BlockMap.of(manifest)
    where: dict[str, list[int]] = {}
    for index, digest in enumerate(blocks.digests):
        if digest is not None:
            where.setdefault(digest, []).append(index)
    wrong: dict[int, VerificationError] = {}
    file = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(file, blocks.size)

        def fetch(digest: str) -> None:
            key = bucket.location.block(digest)
            try:
                data = bucket.get(key, digest)
                if data is None:
                    raise VerificationError(
                        f"s3://{bucket.location.bucket}/{key} is missing",
                        hint="archive the image again from a machine that still has it",
                    )
            except VerificationError as error:
                wrong.update(dict.fromkeys(where[digest], error))
                return
            for index in where[digest]:
                # The last block of a disk may be longer than what is left of it.
                os.pwrite(file, data[: blocks.size - index * BLOCK_SIZE], index * BLOCK_SIZE)

        for _ in _each(fetch, [*where], "blocks fetched", progress):
            pass
    finally:
        os.close(file)
    if wrong:
        raise _damaged(target, dict(sorted(wrong.items())))


def _damaged(disk: Path, wrong: Mapping[int, VerificationError]) -> VerificationError:
    """Return the error that names the damaged blocks and what, by the rest of the disk, they hold."""
    held = contents_of(disk)([*wrong])
    lines = [
        f"block {index}: {error.message}{in_it(held.get(index, ()))}"
        for index, error in [*wrong.items()][:NAMED]
    ]
    if len(wrong) > NAMED:
        lines.append(f"and {number(len(wrong) - NAMED, 'other block')}")
    return VerificationError("\n  ".join(lines), hint=next(iter(wrong.values())).hint)


def collect(bucket: Bucket, now: datetime | None = None) -> Collected:
    """Remove the blocks that no archived image has. Raises VerificationError when a manifest is damaged: what
    it needs is unknown.

    Blocks that were written less than GRACE before ``now`` stay: an archiving may be about to name them.
    """
    used: set[str] = set()
    for image in archived_images(bucket):
        digests = BlockMap.of(manifest_of(bucket, image)).digests
        used.update(bucket.location.block(digest) for digest in digests if digest is not None)
    before = (now or datetime.now(UTC)) - GRACE
    unused = [
        entry
        for entry in bucket.objects(bucket.location.blocks)
        if entry.key not in used and entry.written < before
    ]
    bucket.delete([entry.key for entry in unused])
    return Collected(len(unused), sum(entry.size for entry in unused))


def _each(work: Callable[[T], R], items: Iterable[T], what: str, progress: Progress) -> Iterator[R]:
    """Give the results of ``work``, done for STREAMS items at a time; say how far it is at each twentieth.

    The first error ends it, and nothing more is begun.
    """
    listed = [*items]
    step = max(1, len(listed) // 20)
    stop = threading.Event()

    def unless_stopped(item: T) -> R | None:
        return None if stop.is_set() else work(item)

    with ThreadPoolExecutor(STREAMS, thread_name_prefix="archive") as pool:
        try:
            for count, result in enumerate(pool.map(unless_stopped, listed), 1):
                if count % step == 0 or count == len(listed):
                    progress(f"{count} of {len(listed)} {what}")
                yield result  # type: ignore[misc]  # None comes after an error alone, which is raised before
        finally:
            stop.set()
