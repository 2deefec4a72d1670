"""The manifest of a bundle: what it holds, in which parts, and how EC2 decrypts them.

Version 2007-10-10, the last one, as EC2's AMI tools write it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from ingot.errors import VerificationError

VERSION = "2007-10-10"
# The AMI's root device: `ami` is how the guest's metadata calls it, `root` how the kernel does.
ROOT_DEVICE = "/dev/sda1"
_MAPPING = (("ami", "sda1"), ("root", ROOT_DEVICE))
_SIGNED = re.compile(r"<machine_configuration>.*</image>", re.DOTALL)


@dataclass(frozen=True)
class BundlePart:
    """A part: the name of its object beside the manifest, and its SHA-1 (hex)."""

    name: str
    sha1: str


@dataclass(frozen=True)
class BundleManifest:
    """A manifest. ``sha1`` is that of the tar archive; ``size`` counts the disk's bytes, ``bundled_size`` the
    parts'. ``for_user`` and ``for_ec2``: key and initialization vector, encrypted.
    """

    name: str
    account: str
    architecture: str
    sha1: str
    size: int
    bundled_size: int
    for_user: tuple[bytes, bytes]
    for_ec2: tuple[bytes, bytes]
    parts: Sequence[BundlePart]
    signature: bytes = b""

    @property
    def signed_text(self) -> bytes:
        """What the signature is of: the two elements that matter, as they stand in the document."""
        mapping = "".join(
            f"<mapping><virtual>{virtual}</virtual><device>{device}</device></mapping>"
            for virtual, device in _MAPPING
        )
        parts = "".join(
            f'<part index="{index}"><filename>{escape(part.name)}</filename>'
            f'<digest algorithm="SHA1">{part.sha1}</digest></part>'
            for index, part in enumerate(self.parts)
        )
        return (
            f"<machine_configuration><architecture>{self.architecture}</architecture>"
            f"<block_device_mapping>{mapping}</block_device_mapping></machine_configuration>"
            f"<image><name>{escape(self.name)}</name><user>{self.account}</user><type>machine</type>"
            f'<digest algorithm="SHA1">{self.sha1}</digest><size>{self.size}</size>'
            f"<bundled_size>{self.bundled_size}</bundled_size>"
            f'<ec2_encrypted_key algorithm="AES-128-CBC">{self.for_ec2[0].hex()}</ec2_encrypted_key>'
            f'<user_encrypted_key algorithm="AES-128-CBC">{self.for_user[0].hex()}</user_encrypted_key>'
            f"<ec2_encrypted_iv>{self.for_ec2[1].hex()}</ec2_encrypted_iv>"
            f"<user_encrypted_iv>{self.for_user[1].hex()}</user_encrypted_iv>"
            f'<parts count="{len(self.parts)}">{parts}</parts></image>'
        ).encode()

    def text(self) -> bytes:
        """Return the document."""
        return (
            b'<?xml version="1.0" encoding="UTF-8"?>'
            b"<manifest><version>" + VERSION.encode() + b"</version>"
            b"<bundler><name>ingot</name><version>1</version><release>0</release></bundler>"
            + self.signed_text
            + b"<signature>"
            + self.signature.hex().encode()
            + b"</signature></manifest>"
        )


def read_manifest(text: bytes) -> tuple[BundleManifest, bytes]:
    """Return a manifest, and the text that its signature is of.

    Raises VerificationError for what is none, and for one that names a part outside of its own place.
    """
    try:
        if b"<!" in text:  # neither entities nor a document type: the AMI tools write none
            raise ValueError("it has a document type")
        image = ElementTree.fromstring(text)  # noqa: S314 - see above
        parts = tuple(
            BundlePart(_name(part.findtext("filename", "")), part.findtext("digest", ""))
            for part in sorted(image.iterfind("image/parts/part"), key=lambda part: int(part.attrib["index"]))
        )

        def field(name: str) -> str:
            found = image.findtext(name)
            if found is None:
                raise ValueError(f"it has no {name}")
            return found

        signed = _SIGNED.search(text.decode())
        if field("version") != VERSION or signed is None or not parts:
            raise ValueError("it is of another version, or names no parts")
        secrets = [
            (
                bytes.fromhex(field(f"image/{who}_encrypted_key")),
                bytes.fromhex(field(f"image/{who}_encrypted_iv")),
            )
            for who in ("user", "ec2")
        ]
        manifest = BundleManifest(
            name=field("image/name"),
            account=field("image/user"),
            architecture=field("machine_configuration/architecture"),
            sha1=field("image/digest"),
            size=int(field("image/size")),
            bundled_size=int(field("image/bundled_size")),
            for_user=secrets[0],
            for_ec2=secrets[1],
            parts=parts,
            signature=bytes.fromhex(field("signature")),
        )
    except (ValueError, LookupError, ElementTree.ParseError) as error:
        raise VerificationError(f"the bundle's manifest is damaged: {error}") from error
    return manifest, signed[0].encode()


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]+", text) or text.startswith("."):
        raise ValueError(f"a part is called {text!r}")
    return text
