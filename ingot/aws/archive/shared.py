"""A store that machines share: a bucket with packages, artifacts and layers, and images as in an archive."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ingot import quantities
from ingot.aws.archive.bucket import Bucket
from ingot.aws.archive.images import STREAMS, archive, manifest_if_there, read_disk
from ingot.aws.archive.location import ArchiveLocation
from ingot.aws.session.clients import connect
from ingot.aws.session.failures import translated
from ingot.errors import IngotError, InputError, VerificationError
from ingot.files import keep, sha256_of, unfinished
from ingot.store.sbom import sbom

if TYPE_CHECKING:
    from ingot.aws.session.clients import Clients
    from ingot.progress import Progress
    from ingot.store import Image

T = TypeVar("T")
READ, WRITE = "read", "written to"


class BucketStore:
    """The shared store at ``location``, whose bucket belongs to the account ``owner``; None: the caller's.

    Nothing is asked before something is missing here. A store that cannot be used, or what is damaged in it,
    is reported, and nothing fails because of it; but a bucket that is not encrypted, or may be public, is
    refused with InputError.
    """

    def __init__(
        self, location: ArchiveLocation, owner: str | None, connect: Callable[[], Clients] = connect
    ) -> None:
        self._location, self._owner, self._connect = location, owner, connect
        # READ, WRITE: what it is not asked for any more. Who may not write may read all the same.
        self._given_up: frozenset[str] = frozenset()
        self._lock = threading.Lock()

    def fetch(self, wanted: Mapping[str, Path], progress: Progress) -> frozenset[str]:
        """Write files, by the SHA-256 of each, where it has them; return the digests of those."""

        def get(digest: str) -> bool:
            target = wanted[digest]
            target.parent.mkdir(parents=True, exist_ok=True)
            with unfinished(target.parent) as part:
                if not self._bucket.get_file(self._location.file(digest), digest, part):
                    return False
                keep(part, target)
            return True

        had = self._each(READ, get, list(wanted), progress)
        if had:
            progress(f"{len(had)} of {len(wanted)} files came from {self._location}")
        return had

    def keep(self, files: Mapping[str, Path], progress: Progress) -> None:
        """Write files, by the SHA-256 of each, where they are not yet."""

        def put(digest: str) -> bool:
            key, file = self._location.file(digest), files[digest]
            if self._bucket.has(key, digest, file.stat().st_size):
                return False
            self._bucket.put_file(key, file, digest)
            return True

        sent = self._each(WRITE, put, list(files), progress)
        if sent:
            progress(f"{len(sent)} files sent to {self._location}")

    def fetch_layer(self, digest: str, archive: Path, progress: Progress) -> bool:
        """Write a packed layer to a new file; return whether it was there."""

        def get() -> bool:
            record = self._bucket.get(self._location.layer(digest))
            if record is None:
                return False
            packed = _packed(record, digest)
            if not self._bucket.get_file(self._location.file(packed), packed, archive):
                return False
            progress(f"the layer {digest[:12]} came from {self._location}")
            return True

        return bool(self._try(READ, get, progress))

    def keep_layer(
        self, digest: str, archive: Path, pack: Callable[[Path], None], progress: Progress
    ) -> None:
        """Write a layer unless it is there, its file before what names it."""

        def put() -> None:
            if self._bucket.get(self._location.layer(digest)) is not None:
                return
            pack(archive)
            packed, size = sha256_of(archive), archive.stat().st_size
            self._bucket.put_file(self._location.file(packed), archive, packed)
            record = json.dumps({"layer": digest, "sha256": packed, "size": size}).encode() + b"\n"
            self._bucket.put(
                self._location.layer(digest), record, hashlib.sha256(record).hexdigest(), "application/json"
            )
            progress(f"the layer {digest[:12]} was sent to {self._location} ({quantities.size(size)})")

        self._try(WRITE, put, progress)

    def fetch_image(self, recipe: str, digest: str, directory: Path, progress: Progress) -> bool:
        """Write an image's files into ``directory``, whole; return whether it was there."""

        def get() -> bool:
            manifest = manifest_if_there(self._bucket, recipe, digest)
            if manifest is None:
                return False
            read_disk(self._bucket, manifest, directory / "disk.raw", progress)
            text = json.dumps(manifest, sort_keys=True) + "\n"
            (directory / "manifest.json").write_text(text, encoding="utf-8")
            progress(f"{recipe} {digest[:12]} came from {self._location}")
            return True

        if self._try(READ, get, progress):
            return True
        (directory / "disk.raw").unlink(missing_ok=True)
        return False

    def keep_image(self, image: Image, progress: Progress) -> None:
        """Write an image's blocks where they are not yet, and its manifest last."""
        materials = sbom(image.manifest).encode()
        self._try(WRITE, lambda: archive(self._bucket, image, materials, progress), progress)

    @cached_property
    def _bucket(self) -> Bucket:
        try:
            clients = self._connect()
        except InputError as error:  # no region: this machine has nothing to do with AWS
            raise IngotError(error.message) from error
        owner = self._owner or clients.sts.get_caller_identity()["Account"]
        bucket = Bucket(clients, self._location, owner)
        try:
            bucket.check()
        except InputError as error:
            hint = (error.hint or "").replace("--bucket-owner", "store_owner in environments.yaml")
            raise InputError(f"the shared store {self._location}: {error.message}", hint=hint) from error
        return bucket

    def _each(
        self, way: str, work: Callable[[str], bool], digests: list[str], progress: Progress
    ) -> frozenset[str]:
        """Do the same for several digests at a time; return those for which it gave True."""
        if not digests or self._try(way, lambda: self._bucket, progress) is None:
            return frozenset()
        with ThreadPoolExecutor(STREAMS) as pool:
            done = pool.map(lambda digest: self._try(way, lambda: work(digest), progress), digests)
            return frozenset(digest for digest, had in zip(digests, done, strict=True) if had)

    def _try(self, way: str, work: Callable[[], T], progress: Progress) -> T | None:
        """Return what ``work`` gives; None when the store is not to be used, which is said once."""
        if way in self._given_up:
            return None
        try:
            with translated():
                return work()
        except InputError:
            raise
        except VerificationError as error:
            progress(error.message)
        except IngotError as error:
            with self._lock:
                first, self._given_up = way not in self._given_up, self._given_up | {way}
            if first:
                progress(f"{self._location} is not {way} any more: {error.message}")
        return None


def _packed(record: bytes, digest: str) -> str:
    """Return the SHA-256 of a packed layer by what is written of it.

    Raises VerificationError for what is written of no layer, or of another one.
    """
    try:
        found = json.loads(record)
        packed = str(found["sha256"])
        sound = found["layer"] == digest and re.fullmatch(r"[0-9a-f]{64}", packed) is not None
    except (ValueError, KeyError, TypeError):
        sound = False
    if not sound:
        raise VerificationError(f"what the shared store says of the layer {digest[:12]} is damaged")
    return packed
