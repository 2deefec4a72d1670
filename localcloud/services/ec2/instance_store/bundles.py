"""Bundles in S3, read as EC2 reads them: manifest, parts, and the disk that is in them."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from moto.core.exceptions import ServiceException
from moto.s3.models import s3_backends

from ingot.errors import CloudError
from ingot.files import replacing
from localcloud.core.context import CloudContext
from localcloud.services.ec2.images import RegisteredImage

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

LARGEST = 10 << 30  # bytes: EC2 user guide, "Root volume type"
_HOLE = 1 << 16  # what is zeros for so long stays a hole


@dataclass(frozen=True)
class Manifest:
    """What EC2 takes from a manifest: whose it is, for which machines, the disk's bytes, the key and the
    initialization vector as they were encrypted for EC2, and each part's name and SHA-1.
    """

    account: str
    architecture: str
    size: int
    key: bytes
    vector: bytes
    parts: Sequence[tuple[str, str]]

    @classmethod
    def of(cls, text: bytes) -> Manifest:
        """Read a manifest; raise ValueError for what is none."""
        if b"<!" in text:
            raise ValueError("it has a document type")
        try:
            root = ElementTree.fromstring(text)  # noqa: S314 - see above
            parts = root.findall("image/parts/part")
            if root.findtext("version") != "2007-10-10" or not parts or not root.findtext("signature"):
                raise ValueError("it has another version, or no parts, or no signature")
            return cls(
                account=str(root.findtext("image/user")),
                architecture=str(root.findtext("machine_configuration/architecture")),
                size=int(root.findtext("image/size", "")),
                key=bytes.fromhex(root.findtext("image/ec2_encrypted_key", "")),
                vector=bytes.fromhex(root.findtext("image/ec2_encrypted_iv", "")),
                parts=[(part.findtext("filename", ""), part.findtext("digest", "")) for part in parts],
            )
        except ElementTree.ParseError as error:
            raise ValueError(str(error)) from error


class BundledImage(RegisteredImage):
    """An AMI that stands on a bundle: ``bucket`` and ``prefix`` are where its parts lie."""

    bucket: str
    prefix: str
    manifest: Manifest


@dataclass
class Bundles:
    """The bundles of a cloud's account, and the disks that were made of them."""

    context: CloudContext
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, bucket: str, key: str) -> bytes:
        """Return an object's bytes; raise LookupError when there is none."""
        try:
            stored = s3_backends[self.context.account]["aws"].get_bucket(bucket).keys.get(key)
        except ServiceException as error:
            raise LookupError(f"there is no bucket {bucket}") from error
        if stored is None:
            raise LookupError(f"there is no object {key} in {bucket}")
        value: bytes = stored.value
        return value

    def region_of(self, bucket: str) -> str:
        """Return a bucket's region; raise LookupError when there is none."""
        try:
            return str(s3_backends[self.context.account]["aws"].get_bucket(bucket).region_name)
        except ServiceException as error:
            raise LookupError(f"there is no bucket {bucket}") from error

    def disk(self, image: BundledImage, directory: Path) -> Path:
        """Return the raw disk of a bundle as its parts are now, a file in ``directory``.

        Raises CloudError when the parts are not those of the manifest, OSError when there is no room.
        """
        path = directory / f"{image.id}-{self._state(image)}.raw"
        with self._lock:
            if not path.exists():
                directory.mkdir(parents=True, exist_ok=True)
                with replacing(path) as unfinished:
                    self._unbundle(image, unfinished)
        return path

    def _state(self, image: BundledImage) -> str:
        digest = hashlib.sha256()
        for name, _ in image.manifest.parts:
            digest.update(hashlib.sha256(self._part(image, name)).digest())
        return digest.hexdigest()[:24]

    def _part(self, image: BundledImage, name: str) -> bytes:
        try:
            return self.read(image.bucket, image.prefix + name)
        except LookupError as error:
            raise CloudError(f"a part of the bundle is not there: {error.args[0]}") from error

    def _unbundle(self, image: BundledImage, target: Path) -> None:
        try:
            stream = BufferedReader(_Decrypted(self._parts(image), *self._secrets(image.manifest)), 1 << 20)
            with gzip.open(stream) as plain, tarfile.open(fileobj=plain, mode="r|") as archive:
                member = archive.next()
                source = None if member is None else archive.extractfile(member)
                if member is None or source is None or member.size != image.manifest.size:
                    raise CloudError("the bundle holds another disk than its manifest says")
                with target.open("wb") as disk:
                    disk.truncate(member.size)
                    while piece := source.read(_HOLE):
                        if piece.strip(b"\0"):
                            disk.write(piece)
                        else:
                            disk.seek(len(piece), 1)
        except (ValueError, EOFError, gzip.BadGzipFile, tarfile.TarError) as error:
            raise CloudError(f"the bundle cannot be decrypted and unpacked: {error}") from error

    def _parts(self, image: BundledImage) -> Iterator[bytes]:
        for name, sha1 in image.manifest.parts:
            data = self._part(image, name)
            if hashlib.sha1(data, usedforsecurity=False).hexdigest() != sha1:
                raise CloudError(f"the part {name} of the bundle is damaged")
            yield data

    def _secrets(self, manifest: Manifest) -> tuple[bytes, bytes]:
        from cryptography.hazmat.primitives.asymmetric import padding

        from localcloud.services.ec2.instance_store.ec2_key import ec2_key

        key = ec2_key(self.context.directory)
        digits = (key.decrypt(one, padding.PKCS1v15()) for one in (manifest.key, manifest.vector))
        first, second = (bytes.fromhex(one.decode("ascii")) for one in digits)
        return first, second


class _Decrypted(RawIOBase):
    """A file that holds the parts' plain text, one after the other."""

    def __init__(self, parts: Iterator[bytes], key: bytes, vector: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
        from cryptography.hazmat.primitives.padding import PKCS7

        self._parts = parts
        self._cipher = Cipher(algorithms.AES128(key), modes.CBC(vector)).decryptor()
        self._padding = PKCS7(128).unpadder()
        self._pending = memoryview(b"")
        self._over = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        while not self._pending and not self._over:
            part = next(self._parts, None)
            if part is None:
                self._over = True
                plain = self._padding.update(self._cipher.finalize()) + self._padding.finalize()
            else:
                plain = self._padding.update(self._cipher.update(part))
            self._pending = memoryview(plain)
        view = memoryview(buffer).cast("B")
        count = min(len(view), len(self._pending))
        view[:count] = self._pending[:count]
        self._pending = self._pending[count:]
        return count
