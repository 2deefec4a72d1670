"""Bundling a disk, and unbundling it again to prove what was bundled.

As ec2-bundle-image documents it: a tar archive with the disk as its one member, compressed by gzip, encrypted
by AES-128 in CBC mode, and cut into parts of 10 MiB. Both ways go in one pass, with a few blocks in memory.
"""

from __future__ import annotations

import hashlib
import secrets
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from ingot import quantities
from ingot.aws.instance_store.keys import BundleKeys, Decryption, encrypted, is_signature, unwrap
from ingot.aws.instance_store.manifest import BundleManifest, BundlePart
from ingot.blocks import BLOCK_SIZE, ZERO_BLOCK, block_count, root_digest
from ingot.errors import InputError, VerificationError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

PART_SIZE = 10 << 20  # bytes: EC2's AMI tools
LARGEST = 10 << 30  # bytes: EC2 user guide, "Root device type": the size limit for a root device
# The AMI tools take 9, which costs many times as long for a little less to send.
LEVEL = 1
_NAME = "image"
MANIFEST = f"{_NAME}.manifest.xml"
_MODE = 0o600
# tar(5): members and the archive's end are padded to whole records of 512 bytes; GNU tar writes 20 at a time.
_RECORD, _BLOCKING = 512, 10240
_AT_ONCE = 1 << 18  # bytes that are decrypted at a time


@dataclass(frozen=True)
class DiskSource:
    """What is bundled: the disk's ``size`` in bytes, whose it is, the recipe's ``epoch`` in Unix seconds.

    ``read`` gives the block of an index, padded to 512 KiB, held against the image's manifest.
    """

    size: int
    account: str
    architecture: str
    epoch: int
    read: Callable[[int], bytes]


def bundle(source: DiskSource, keys: BundleKeys, write: Callable[[str, bytes], None]) -> BundleManifest:
    """Give ``write`` each part by its name, then the manifest; return the manifest.

    Raises InputError for a disk that EC2 would refuse, and what ``source.read`` raises.
    """
    if source.size > LARGEST:
        raise InputError(
            f"the disk has {quantities.size(source.size)}; a root on an instance store, at most "
            f"{quantities.size(LARGEST)}"
        )
    # The AMI tools encrypt their hexadecimal digits, not the 16 bytes.
    key, vector = secrets.token_bytes(16), secrets.token_bytes(16)
    digits = [secret.hex().encode() for secret in (key, vector)]
    whole, parts, size = hashlib.sha1(usedforsecurity=False), [], 0
    packed = _compressed(_archive(source), whole.update)
    for number, data in enumerate(_parts(encrypted(packed, key, vector))):
        name = f"{_NAME}.part.{number:02}"
        parts.append(BundlePart(name, hashlib.sha1(data, usedforsecurity=False).hexdigest()))
        size += len(data)
        write(name, data)
    unsigned = BundleManifest(
        name=_NAME,
        account=source.account,
        architecture=source.architecture,
        sha1=whole.hexdigest(),
        size=source.size,
        bundled_size=size,
        for_user=(keys.for_user(digits[0]), keys.for_user(digits[1])),
        for_ec2=(keys.for_ec2(digits[0]), keys.for_ec2(digits[1])),
        parts=tuple(parts),
    )
    manifest = replace(unsigned, signature=keys.sign(unsigned.signed_text))
    write(MANIFEST, manifest.text())
    return manifest


def _archive(source: DiskSource) -> Iterator[bytes]:
    """Give the tar archive with the disk as its one member."""
    member = tarfile.TarInfo(_NAME)
    member.size, member.mode, member.mtime = source.size, _MODE, source.epoch
    head = member.tobuf(tarfile.GNU_FORMAT)  # a size beyond 8 GiB takes GNU's form
    yield head
    for index in range(block_count(source.size)):
        yield source.read(index)[: source.size - index * BLOCK_SIZE]
    length = len(head) + source.size
    padded = -(-length // _RECORD) * _RECORD + 2 * _RECORD
    yield bytes(-(-padded // _BLOCKING) * _BLOCKING - length)


def _compressed(pieces: Iterator[bytes], seen: Callable[[bytes], None]) -> Iterator[bytes]:
    packer = zlib.compressobj(LEVEL, wbits=31)  # gzip, with no time in its head
    for piece in pieces:
        seen(piece)
        yield packer.compress(piece)
    yield packer.flush()


def _parts(pieces: Iterator[bytes]) -> Iterator[bytes]:
    pending = bytearray()
    for piece in pieces:
        pending += piece
        while len(pending) >= PART_SIZE:
            yield bytes(pending[:PART_SIZE])
            del pending[:PART_SIZE]
    if pending:
        yield bytes(pending)


@dataclass(frozen=True)
class Unbundled:
    """A disk that was read out of a bundle: its bytes, the SHA-256 (hex) of its blocks, its root digest."""

    size: int
    blocks: tuple[str | None, ...]
    root_digest: str


class DamagedPartError(VerificationError):
    """A part of a bundle is not what its manifest says. ``block``: the disk's first that cannot be read."""

    def __init__(self, part: str, block: int, contents: str = "") -> None:
        super().__init__(
            f"the part {part} is damaged: its SHA-1 is not the manifest's; the disk's block {block} and what "
            f"follows cannot be read{contents}",
            hint="publish the image again",
        )
        self.part = part
        self.block = block


def unbundle(
    manifest: BundleManifest,
    signed: bytes,
    key: RSAPrivateKey,
    read: Callable[[str], bytes],
    write: Callable[[int, bytes], None] = lambda _index, _block: None,
    *,
    expected: Sequence[str | None] = (),
) -> Unbundled:
    """Read a bundle back with the user's key: each part by ``read``, which takes its name.

    ``write`` is given the index and the bytes of each block that is not zeros. ``expected``: the SHA-256
    (hex) of the disk's blocks, None for zeros; by them the damage is found within its part. Raises
    VerificationError for a signature of another key, DamagedPartError for a part, and VerificationError for
    an archive or a size that are not the manifest's.
    """
    if not is_signature(key.public_key(), manifest.signature, signed):
        raise VerificationError("the bundle's manifest is not signed with this key, or was changed")
    try:
        digits = [unwrap(key, secret) for secret in manifest.for_user]
        symmetric, vector = (bytes.fromhex(one.decode("ascii")) for one in digits)
        cipher = Decryption(symmetric, vector)
    except ValueError as error:
        raise VerificationError(f"the bundle is not encrypted for this key: {error}") from error
    blocks = _BlockExtractor(manifest.size, write)
    whole, bundled = hashlib.sha1(usedforsecurity=False), 0
    unpacker = zlib.decompressobj(wbits=31)

    def take(packed: bytes) -> None:
        while packed:
            piece = unpacker.decompress(packed, BLOCK_SIZE)
            whole.update(piece)
            blocks.take(piece)
            packed = unpacker.unconsumed_tail

    def unpack(data: bytes) -> None:
        for start in range(0, len(data), _AT_ONCE):
            take(cipher.update(data[start : start + _AT_ONCE]))

    try:
        for part in manifest.parts:
            data = read(part.name)
            bundled += len(data)
            if hashlib.sha1(data, usedforsecurity=False).hexdigest() != part.sha1:
                raise DamagedPartError(part.name, _damaged_block(blocks, partial(unpack, data), expected))
            unpack(data)
        take(cipher.finish())
    except (ValueError, zlib.error) as error:
        raise VerificationError(f"the bundle is not what its manifest says: {error}") from error
    if (whole.hexdigest(), bundled, unpacker.eof) != (manifest.sha1, manifest.bundled_size, True):
        raise VerificationError("the bundle is not whole: its archive is not the one that the manifest names")
    digests = blocks.finish()
    return Unbundled(manifest.size, digests, root_digest(digests))


def _damaged_block(
    blocks: _BlockExtractor, unpack: Callable[[], None], expected: Sequence[str | None]
) -> int:
    """Return the first block that a damaged part does not give as it was: unpacking goes on until it fails,
    or until a block is not the one that is expected.
    """
    first = blocks.number
    if not expected:
        return first
    with suppress(ValueError, zlib.error, VerificationError):
        unpack()
    found = enumerate(blocks.digests[first:], first)
    return next((index for index, digest in found if digest != expected[index]), blocks.number)


class _BlockExtractor:
    """Takes the tar archive piece by piece, and gives the blocks of the disk in it."""

    def __init__(self, size: int, write: Callable[[int, bytes], None]) -> None:
        self._size = size
        self._write = write
        self._head = bytearray()
        self._left = size
        self._block = bytearray()
        self._digests: list[str | None] = []

    @property
    def number(self) -> int:
        """The index of the block that comes next."""
        return len(self._digests)

    @property
    def digests(self) -> list[str | None]:
        """The SHA-256 (hex) of the blocks so far, None for zeros."""
        return self._digests

    def take(self, piece: bytes) -> None:
        view = memoryview(piece)
        if len(self._head) < _RECORD:
            wanted = _RECORD - len(self._head)
            self._head += view[:wanted]
            view = view[wanted:]
            if len(self._head) == _RECORD:
                self._check()
        view = view[: self._left]
        self._left -= len(view)
        self._block += view
        while len(self._block) >= BLOCK_SIZE:
            self._give(bytes(self._block[:BLOCK_SIZE]))
            del self._block[:BLOCK_SIZE]

    def _check(self) -> None:
        try:
            member = tarfile.TarInfo.frombuf(bytes(self._head), "utf-8", "strict")
        except tarfile.HeaderError as error:
            raise VerificationError(f"the bundle holds no tar archive: {error}") from error
        if not member.isreg() or member.size != self._size:
            raise VerificationError(
                f"the bundle's archive holds {member.size} bytes of a disk, its manifest says {self._size}"
            )

    def _give(self, block: bytes) -> None:
        if block == ZERO_BLOCK:
            self._digests.append(None)
            return
        self._write(self.number, block)
        self._digests.append(hashlib.sha256(block).hexdigest())

    def finish(self) -> tuple[str | None, ...]:
        if self._left:
            raise VerificationError(f"the bundle's archive ends {self._left} bytes early")
        if self._block:
            self._give(bytes(self._block.ljust(BLOCK_SIZE, b"\0")))
        return tuple(self._digests)
