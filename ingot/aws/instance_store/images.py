"""An image's disk to a bundle in S3, which is read back before an AMI is registered of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ingot.aws.instance_store import bucket
from ingot.aws.instance_store.bucket import BundlePlace
from ingot.aws.instance_store.bundle import (
    MANIFEST,
    DamagedPartError,
    DiskSource,
    Unbundled,
    bundle,
    unbundle,
)
from ingot.aws.instance_store.keys import BundleKeys
from ingot.aws.instance_store.manifest import ROOT_DEVICE, read_manifest
from ingot.bake.disk.contents import Contents, in_it, unknown
from ingot.errors import InputError, VerificationError
from ingot.progress import Progress
from ingot.quantities import size

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    from ingot.aws.session.clients import Clients


@dataclass(frozen=True)
class BundleSettings:
    """Where bundles are kept, and by which keys they are made."""

    place: BundlePlace
    keys: BundleKeys


def send_bundle(
    clients: Clients, source: DiskSource, root_digest: str, settings: BundleSettings, progress: Progress
) -> None:
    """Bundle a disk into ``settings.place``, then read the parts back from there.

    Raises InputError for a disk that no such AMI can be of, VerificationError when the parts in S3 do not
    have the root digest, and what ``source.read`` raises.
    """
    if source.architecture != "x86_64":
        raise InputError(f"an image for {source.architecture} cannot have its root on an instance store")
    place, keys, sent = settings.place, settings.keys, 0

    def write(name: str, data: bytes) -> None:
        nonlocal sent
        bucket.put(clients, place, name, data)
        sent += len(data)
        progress(f"bundling: {name} written, {size(sent)} so far")

    bundle(source, keys, write)
    found = read_bundle(clients, place, keys.private)
    if found.root_digest != root_digest:
        raise VerificationError(f"{place} has the root digest {found.root_digest} instead of {root_digest}")
    progress(f"the bundle in {place} is, bit for bit, the baked disk")


def read_bundle(
    clients: Clients,
    place: BundlePlace,
    key: RSAPrivateKey,
    expected: Sequence[str | None] = (),
    contents: Contents = unknown,
) -> Unbundled:
    """Read a bundle back from S3 with the user's key. Raises VerificationError when it is not whole.

    ``expected``: the SHA-256 of the disk's blocks, by which a damaged part's error names the block, and by
    ``contents`` the file.
    """
    manifest, signed = read_manifest(bucket.get(clients, place, MANIFEST))
    try:
        return unbundle(
            manifest, signed, key, lambda name: bucket.get(clients, place, name), expected=expected
        )
    except DamagedPartError as error:
        things = in_it(contents([error.block]).get(error.block, ()))
        raise DamagedPartError(f"{place}{error.part}", error.block, things) from error


def root_of_bundle(place: BundlePlace) -> Mapping[str, Any]:
    """Return the root that is made of a bundle, as parameters of RegisterImage."""
    return {"ImageLocation": place.location(MANIFEST), "RootDeviceName": ROOT_DEVICE}
