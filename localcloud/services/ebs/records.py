"""EC2's side of a snapshot: moto's record, kept in step with the EBS direct APIs.

moto's snapshots are completed from birth. Those of StartSnapshot are ``pending`` until CompleteSnapshot is
through, ``error`` when they timed out, and have progress; their volume id is ``vol-ffffffff`` (as AWS shows
for snapshots that were not made from a volume).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from moto.ec2.models import ec2_backends
from moto.ec2.models.elastic_block_store import Snapshot
from moto.ec2.utils import random_snapshot_id

from localcloud.core.moto_types import Ec2Backend
from localcloud.services.ebs.snapshot import DirectSnapshot


@dataclass(frozen=True)
class NoVolume:
    """Stands where moto expects the volume that a snapshot was taken of."""

    size: int
    id: str = "vol-ffffffff"


class DirectRecord(Snapshot):  # type: ignore[misc]  # moto is untyped
    """moto's record of a snapshot that the EBS direct APIs made. Its state is asked for, never stored."""

    def __init__(self, backend: Ec2Backend, snapshot: DirectSnapshot, clock: Callable[[], datetime]) -> None:
        self._direct = snapshot
        self._clock = clock
        super().__init__(
            backend,
            snapshot.id,
            volume=NoVolume(snapshot.volume_size),
            description=snapshot.description,
            encrypted=snapshot.encrypted,
            kms_key_id=snapshot.kms_key,
        )
        self.start_time = snapshot.started

    @property
    def status(self) -> str:
        """Return the state as DescribeSnapshots shows it."""
        return self._direct.state(self._clock())

    @status.setter
    def status(self, value: str) -> None:
        """Ignore what moto's constructor sets: it says "completed" for every snapshot."""

    @property
    def progress(self) -> str:
        """Return the progress in percent, from PutSnapshotBlock's Progress."""
        return "100%" if self.status == "completed" else f"{self._direct.progress}%"

    @property
    def status_message(self) -> str | None:
        """Return why the snapshot is in error."""
        return "The snapshot timed out before it was completed" if self.status == "error" else None


def new_snapshot_id() -> str:
    """Return an id for a snapshot."""
    return str(random_snapshot_id())


def encryption_by_default(account: str, region: str) -> bool:
    """Say whether EnableEbsEncryptionByDefault is on."""
    return bool(ec2_backends[account][region].ebs_encryption_by_default)


def add(snapshot: DirectSnapshot, clock: Callable[[], datetime]) -> None:
    """Add EC2's record of a snapshot that was just started."""
    backend = ec2_backends[snapshot.owner][snapshot.region]
    record = DirectRecord(backend, snapshot, clock)
    backend.snapshots[snapshot.id] = record
    if snapshot.tags:
        record.add_tags({tag["Key"]: tag["Value"] for tag in snapshot.tags})


def of_volume(snapshot: DirectSnapshot, volume_id: str) -> None:
    """Note of which volume a snapshot was taken."""
    record = ec2_backends[snapshot.owner][snapshot.region].snapshots[snapshot.id]
    record.volume = NoVolume(snapshot.volume_size, volume_id)
