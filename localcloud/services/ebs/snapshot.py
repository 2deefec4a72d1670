"""One snapshot made through the EBS direct APIs, and the rules that StartSnapshot has for its parameters."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ingot.blocks import BLOCK_SIZE, linear_digest
from ingot.quantities import GIB
from localcloud.services.ebs.errors import invalid

# CompleteSnapshot is asynchronous: AWS answers "pending" and the snapshot completes a while later. A client
# that does not wait must fail here too, so completion takes a moment.
SEALING = timedelta(seconds=0.5)


@dataclass(frozen=True)
class Block:
    """A written block: the file that holds it and the raw SHA-256 of what was put."""

    file: str
    digest: bytes


@dataclass
class DirectSnapshot:
    """A snapshot.

    ``blocks`` is its whole content (the parent's and its own), ``written`` what was put into it.
    """

    id: str
    owner: str
    region: str
    volume_size: int  # GiB
    started: datetime
    timeout: timedelta
    description: str
    tags: list[dict[str, str]]
    encrypted: bool
    kms_key: str | None
    parent: str | None
    blocks: dict[int, Block] = field(default_factory=dict)
    written: set[int] = field(default_factory=set)
    progress: int = 0
    last_write: datetime | None = None
    sealed: datetime | None = None
    timed_out: bool = False
    zeros: bool = False  # what was not written is zeros, though it is encrypted: a copy of what was read
    noise: str = ""  # the snapshot whose noise an encrypted copy shares; its own unless it is a copy

    @property
    def block_count(self) -> int:
        """How many blocks the volume has."""
        return self.volume_size * GIB // BLOCK_SIZE

    def state(self, now: datetime) -> str:
        """Return ``pending``, ``completed`` or ``error``.

        "Timeout: the amount of time (in minutes) after which the snapshot is automatically cancelled if no
        blocks are written to the snapshot [or] the snapshot is not completed after writing the last block of
        data" (StartSnapshot, API reference).
        """
        if self.timed_out:
            return "error"
        if self.sealed is not None:
            return "completed" if now >= self.sealed + SEALING else "pending"
        if now >= (self.last_write or self.started) + self.timeout:
            return "error"
        return "pending"

    def linear_checksum(self) -> str:
        """Return the LINEAR checksum: SHA-256 over the written blocks' digests in ascending index, base64."""
        digests = (self.blocks[index].digest.hex() for index in sorted(self.written))
        return base64.b64encode(linear_digest(digests)).decode()


def utc_now() -> datetime:
    """Return the time; the clock of everything here unless a test gives another."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class StartRequest:
    """StartSnapshot's parameters, validated one by one."""

    volume_size: int
    timeout: int
    description: str
    tags: tuple[tuple[str, str], ...]
    encrypted: bool | None
    kms_key: str | None
    parent: str | None

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> StartRequest:
        """Check the request's body against the service model; raises EbsError."""
        size = body.get("VolumeSize")
        if not isinstance(size, int) or not 1 <= size <= 65536:
            raise invalid(f"VolumeSize must be between 1 and 65536 GiB, not {size}", "INVALID_VOLUME_SIZE")
        timeout = body.get("Timeout", 60)
        if not isinstance(timeout, int) or not 10 <= timeout <= 4320:
            raise invalid(f"Timeout must be between 10 and 4320 minutes, not {timeout}")
        request = cls(
            volume_size=size,
            timeout=timeout,
            description=str(body.get("Description", "")),
            tags=_tags(body.get("Tags") or []),
            encrypted=body.get("Encrypted"),
            kms_key=body.get("KmsKeyArn"),
            parent=body.get("ParentSnapshotId"),
        )
        request.check_encryption()
        return request

    def check_encryption(self) -> None:
        """Raise for combinations that AWS refuses (user guide, "Start a snapshot": encryption outcomes)."""
        if self.parent is not None and self.encrypted is not None:
            raise invalid("Encrypted and ParentSnapshotId cannot be specified in the same request")
        if self.parent is not None and self.kms_key is not None:
            raise invalid("KmsKeyArn and ParentSnapshotId cannot be specified in the same request")
        if self.kms_key is not None and not self.encrypted:
            raise invalid("KmsKeyArn requires Encrypted to be true", "INVALID_CUSTOMER_KEY")


def _tags(tags: list[Mapping[str, str]]) -> tuple[tuple[str, str], ...]:
    keys = [tag.get("Key", "") for tag in tags]
    if len(set(keys)) != len(keys) or len(keys) > 50:
        raise invalid("Tag keys must be unique and at most 50", "INVALID_TAG")
    for tag in tags:
        key, value = tag.get("Key", ""), tag.get("Value", "")
        if not 1 <= len(key) <= 127 or len(value) > 255 or key.lower().startswith("aws:"):
            raise invalid(f"Invalid tag: {key}", "INVALID_TAG")
    return tuple((tag["Key"], tag.get("Value", "")) for tag in tags)


@dataclass(frozen=True)
class CopyRequest:
    """What CopySnapshot is asked for. ``encrypted`` is None when the request does not say."""

    source: str
    description: str
    tags: tuple[tuple[str, str], ...]
    encrypted: bool | None
    kms_key: str | None

    def described(self, description: str) -> CopyRequest:
        """Return the same request with another description."""
        return replace(self, description=description)
