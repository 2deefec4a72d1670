"""Java's keystore bears the date of the lock, and is otherwise what ca-certificates-java made."""

import hashlib
import struct

import pytest

from ingot.bake.image.keystore import CACERTS, dated
from ingot.bake.image.seal import seal


def text(value):
    return struct.pack(">H", len(value)) + value


def keystore(milliseconds, tag=2, password="changeit"):
    """Two entries, as OpenJDK writes them."""
    body = struct.pack(">III", 0xFEEDFEED, 2, 2)
    for name in (b"debian:one.pem", b"debian:two.pem"):
        body += struct.pack(">I", tag) + text(name) + struct.pack(">Q", milliseconds)
        body += text(b"X.509") + struct.pack(">I", 3) + b"abc"
    return body + hashlib.sha1(password.encode("utf-16-be") + b"Mighty Aphrodite" + body).digest()


def test_each_entry_gets_the_date():
    assert dated(keystore(1234567), 1_700_000_000) == keystore(1_700_000_000_000)


@pytest.mark.parametrize(
    "other",
    [b"", b"x" * 100, keystore(1, tag=1), keystore(1, password="secret"), keystore(1)[:-1]],
)
def test_another_keystore_is_left_alone(other):
    assert dated(other, 1) is None


def test_sealing_dates_it(root):
    file = root / CACERTS
    file.parent.mkdir(parents=True)
    file.write_bytes(keystore(99))
    seal(root, epoch=5)
    assert file.read_bytes() == keystore(5000)
