"""The fingerprints of an OpenPGP key file, armoured or not: as much of RFC 9580 as naming the signers of an archive takes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator

_ARMOUR = re.compile(
    rb"-----BEGIN PGP PUBLIC KEY BLOCK-----\r?\n(?:[^\r\n]+\r?\n)*\r?\n(.*?)(?:^=[^\r\n]*\r?\n)?"
    rb"-----END PGP PUBLIC KEY BLOCK-----",
    re.DOTALL | re.MULTILINE,
)
# RFC 9580, 5: packet type ids.
_SECRET_KEY, _PUBLIC_KEY = 5, 6


class KeyFileError(ValueError):
    """The file holds no public key; the message says what it is instead."""


def fingerprints(data: bytes) -> list[str]:
    """Return the fingerprint of each primary key, in upper-case hex. Raises KeyFileError."""
    try:
        binary = b"".join(base64.b64decode(block, validate=False) for block in _ARMOUR.findall(data)) or data
        found = []
        for kind, body in _packets(binary):
            if kind == _SECRET_KEY:
                raise KeyFileError("a secret key")
            if kind == _PUBLIC_KEY:
                found.append(_fingerprint(body))
    except (IndexError, binascii.Error) as error:
        raise KeyFileError("no OpenPGP key") from error
    if not found:
        raise KeyFileError("no OpenPGP public key")
    return sorted(found)


def is_armoured(data: bytes) -> bool:
    """Say whether the key is in text form."""
    return _ARMOUR.search(data) is not None


def _fingerprint(body: bytes) -> str:
    """RFC 9580, 5.5.4: over a constant, the length and the packet's body."""
    if body[0] == 4:
        digest = hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body)  # noqa: S324 - the standard's
        return digest.hexdigest().upper()
    if body[0] == 6:
        return hashlib.sha256(b"\x9b" + len(body).to_bytes(4, "big") + body).hexdigest().upper()
    raise KeyFileError(f"an OpenPGP key of version {body[0]}")


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and body of each packet: RFC 9580, 4.2."""
    at = 0
    while at < len(data):
        tag = data[at]
        if not tag & 0x80:
            raise KeyFileError("no OpenPGP key")
        at += 1
        if tag & 0x40:
            kind, (size, at) = tag & 0x3F, _length(data, at)
        else:
            kind, width = tag >> 2 & 0x0F, 1 << (tag & 3)
            if width == 8:
                raise KeyFileError("an OpenPGP packet without a length")
            size, at = int.from_bytes(data[at : at + width], "big"), at + width
        if at + size > len(data):
            raise KeyFileError("an OpenPGP key that ends too early")
        yield kind, data[at : at + size]
        at += size


def _length(data: bytes, at: int) -> tuple[int, int]:
    first = data[at]
    if first < 192:
        return first, at + 1
    if first < 224:
        return (first - 192 << 8) + data[at + 1] + 192, at + 2
    if first == 255:
        return int.from_bytes(data[at + 1 : at + 5], "big"), at + 5
    raise KeyFileError("an OpenPGP packet in parts")
