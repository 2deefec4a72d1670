"""Java's keystore of certificates: ca-certificates-java dates each entry by the clock of the bake.

The format, JKS, is that of OpenJDK's sun.security.provider.JavaKeyStore: big-endian, text as in
java.io.DataOutput.writeUTF, at the end a SHA-1 over password, a constant and everything before it.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Optional

CACERTS = "etc/ssl/certs/java/cacerts"
# Debian's password of a keystore that holds nothing secret, as in its postinst.
PASSWORD = "changeit"  # noqa: S105
_MAGIC, _VERSION, _CERTIFICATE = 0xFEEDFEED, 2, 2
_CONSTANT = b"Mighty Aphrodite"
_DIGEST = 20


def dated(keystore: bytes, epoch: int) -> Optional[bytes]:
    """Return a keystore of certificates with the date ``epoch`` in each entry.

    None for another format, another password, or one with private keys: that is left as it is.
    """
    body, digest = bytearray(keystore[:-_DIGEST]), keystore[-_DIGEST:]
    if _digest(bytes(body)) != digest:
        return None
    try:
        magic, version, count = struct.unpack_from(">III", body)
        place = 12
        for _ in range(count):
            (tag,) = struct.unpack_from(">I", body, place)
            if tag != _CERTIFICATE:
                return None
            place = _after_text(body, place + 4)
            struct.pack_into(">Q", body, place, epoch * 1000)
            place = _after_text(body, place + 8)
            (size,) = struct.unpack_from(">I", body, place)
            place += 4 + size
    except struct.error:
        return None
    if (magic, version, place) != (_MAGIC, _VERSION, len(body)):
        return None
    return bytes(body) + _digest(bytes(body))


def _after_text(body: bytearray, place: int) -> int:
    (length,) = struct.unpack_from(">H", body, place)
    return int(place + 2 + length)


def _digest(body: bytes) -> bytes:
    return hashlib.sha1(PASSWORD.encode("utf-16-be") + _CONSTANT + body).digest()  # noqa: S324 - the format's
