"""Keys, and a small disk with its manifest."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from ingot.aws.instance_store.keys import BundleKeys
from ingot.blocks import BLOCK_SIZE, root_digest


def write_pair(directory, name):
    """Write an RSA key and its certificate; return both files."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=3650))
        .sign(key, hashes.SHA256())
    )
    files = directory / f"pk-{name}.pem", directory / f"cert-{name}.pem"
    files[0].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    files[1].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return files


@pytest.fixture(scope="session")
def pairs(tmp_path_factory):
    """The user's key and certificate, EC2's, and a stranger's."""
    directory = tmp_path_factory.mktemp("keys")
    return {name: write_pair(directory, name) for name in ("user", "ec2", "stranger")}


@pytest.fixture
def keys(pairs):
    return BundleKeys.load(*pairs["user"], pairs["ec2"][1])


@dataclass(frozen=True)
class SmallImage:
    """A baked image, by what a publish asks of it."""

    disk: Path
    manifest: dict[str, Any]
    digest: str = "d" * 64


def small_image(directory, blocks, **fields):
    """An image whose disk has these blocks; None is a block of zeros."""
    disk = directory / "disk.raw"
    data = [block or bytes(BLOCK_SIZE) for block in blocks]
    disk.write_bytes(b"".join(data))
    digests = [None if block is None else hashlib.sha256(block).hexdigest() for block in blocks]
    manifest = {
        "name": "web",
        "version": "d" * 12,
        "architecture": "x86_64",
        "epoch": 1_750_000_000,
        "inventory": {},
        "disk": {
            "size": len(blocks) * BLOCK_SIZE,
            "block_size": BLOCK_SIZE,
            "blocks": digests,
            "root_digest": root_digest(digests),
        },
        **fields,
    }
    return SmallImage(disk, manifest)
