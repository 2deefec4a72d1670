"""EC2's own key, by which it reads bundles, and the certificate of it that users encrypt for."""

from __future__ import annotations

import datetime as dt
import secrets
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from ingot.files import write_atomically
from localcloud.core.environment import CERTIFICATE

_KEY = "ec2/key-ec2.pem"
_YEARS = 10


def ec2_key(directory: Path) -> rsa.RSAPrivateKey:
    """Return the key of the cloud in ``directory``; it is made once, with its certificate, and stays."""
    file = directory / _KEY
    if file.exists() and (directory / CERTIFICATE).exists():
        key = serialization.load_pem_private_key(file.read_bytes(), password=None)
        if isinstance(key, rsa.RSAPrivateKey):
            return key
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    file.parent.mkdir(parents=True, exist_ok=True)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_atomically(file, pem.decode(), mode=0o600)
    write_atomically(directory / CERTIFICATE, _certificate(key).decode())
    return key


def _certificate(key: rsa.RSAPrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "EC2 of the local cloud")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(secrets.randbits(64) + 1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=365 * _YEARS))
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)
