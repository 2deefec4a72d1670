"""All of a bundle's cryptography: who may read it, EC2 and the user, by their certificates; the signature of
who made it; and the cipher of its parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ingot.errors import InputError, MissingPackageError

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding, rsa
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.padding import PKCS7
except ModuleNotFoundError as error:
    raise MissingPackageError(
        "cryptography, by which bundles are encrypted,", install="pip install 'ingot[instance-store]'"
    ) from error

# The AMI tools' own: RSA with PKCS#1 v1.5 for the key, and SHA-1 for the signature.
_WRAPPING = padding.PKCS1v15()
_SIGNED = hashes.SHA1()  # noqa: S303 - EC2 reads no other


@dataclass(frozen=True)
class BundleKeys:
    """The user's private key and certificate, and EC2's certificate of the region.

    The AMI tools bring the last one along: ``/etc/ec2/amitools/cert-ec2.pem``.
    """

    private: rsa.RSAPrivateKey
    user: rsa.RSAPublicKey
    amazon: rsa.RSAPublicKey

    @classmethod
    def load(cls, private_key: Path, certificate: Path, ec2_certificate: Path) -> BundleKeys:
        """Read them from PEM files. Raises InputError for one that cannot be read, or is no RSA key."""
        private, user = load_private_key(private_key), _public_key(certificate)
        if private.public_key().public_numbers() != user.public_numbers():
            raise InputError(f"{certificate} is not the certificate of the key {private_key}")
        return cls(private, user, _public_key(ec2_certificate))

    def for_user(self, secret: bytes) -> bytes:
        """Return what only the user can read."""
        return self.user.encrypt(secret, _WRAPPING)

    def for_ec2(self, secret: bytes) -> bytes:
        """Return what only EC2 can read."""
        return self.amazon.encrypt(secret, _WRAPPING)

    def sign(self, text: bytes) -> bytes:
        """Return the user's signature of a text."""
        return self.private.sign(text, _WRAPPING, _SIGNED)


def load_private_key(file: Path) -> rsa.RSAPrivateKey:
    """Return the RSA key of a PEM file. Raises InputError when there is none."""
    try:
        key = serialization.load_pem_private_key(_read(file), password=None)
    except (ValueError, TypeError) as error:  # TypeError: it has a password
        raise InputError(f"{file} holds no private key that can be read: {error}") from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise InputError(f"{file} holds a key that is not an RSA key", hint="EC2 takes RSA keys alone")
    return key


def unwrap(key: rsa.RSAPrivateKey, secret: bytes) -> bytes:
    """Return what was encrypted for a key. Raises ValueError for what was encrypted for another."""
    return key.decrypt(secret, _WRAPPING)


def is_signature(key: rsa.RSAPublicKey, signature: bytes, text: bytes) -> bool:
    """Whether a text was signed with the private part of a key."""
    try:
        key.verify(signature, text, _WRAPPING, _SIGNED)
    except InvalidSignature:
        return False
    return True


def encrypted(pieces: Iterator[bytes], key: bytes, vector: bytes) -> Iterator[bytes]:
    """Give pieces encrypted by AES-128 in CBC mode, padded at the end as `openssl enc` does."""
    cipher = Cipher(algorithms.AES128(key), modes.CBC(vector)).encryptor()
    padder = PKCS7(128).padder()
    for piece in pieces:
        yield cipher.update(padder.update(piece))
    yield cipher.update(padder.finalize()) + cipher.finalize()


class Decryption:
    """What `encrypted` gave, decrypted piece by piece. Raises ValueError for keys that are none."""

    def __init__(self, key: bytes, vector: bytes) -> None:
        self._cipher = Cipher(algorithms.AES128(key), modes.CBC(vector)).decryptor()
        self._padding = PKCS7(128).unpadder()

    def update(self, piece: bytes) -> bytes:
        """Return the next bytes."""
        return self._padding.update(self._cipher.update(piece))

    def finish(self) -> bytes:
        """Return the last bytes. Raises ValueError when it does not end as it should."""
        return self._padding.update(self._cipher.finalize()) + self._padding.finalize()


def _public_key(file: Path) -> rsa.RSAPublicKey:
    try:
        key = x509.load_pem_x509_certificate(_read(file)).public_key()
    except ValueError as error:
        raise InputError(f"{file} holds no X.509 certificate: {error}") from error
    if not isinstance(key, rsa.RSAPublicKey):
        raise InputError(f"the certificate {file} is not of an RSA key", hint="EC2 takes RSA keys alone")
    return key


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error
