"""The operations of the EBS direct APIs that write: start, put, complete; and what deletion frees.

Source: "EBS direct APIs" in the Amazon EBS user guide and API reference.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from ingot.blocks import BLOCK_SIZE, read_block
from ingot.errors import CloudError
from ingot.files import write_atomically
from ingot.quantities import GIB
from localcloud.services.ebs import records
from localcloud.services.ebs.blocks import BlockFiles
from localcloud.services.ebs.errors import EbsError, invalid, not_found
from localcloud.services.ebs.snapshot import (
    Block,
    CopyRequest,
    DirectSnapshot,
    StartRequest,
    utc_now,
)


class EbsService:
    """All snapshots of the cloud, of every region.

    Thread-safe: block files are written outside of the lock.
    """

    def __init__(self, directory: Path, *, clock: Callable[[], datetime] = utc_now) -> None:
        self.directory = directory
        self.files = BlockFiles(directory / "blocks")
        self.clock = clock
        self.snapshots: dict[str, DirectSnapshot] = {}
        self._tokens: dict[tuple[str, str, str], tuple[StartRequest, str]] = {}
        self._lock = threading.RLock()
        (directory / "snapshots").mkdir(exist_ok=True)

    # -- StartSnapshot

    def start(self, account: str, region: str, body: Mapping[str, Any]) -> DirectSnapshot:
        """Start a snapshot, or return the one that the same ClientToken started before."""
        request = StartRequest.parse(body)
        token = body.get("ClientToken")
        with self._lock:
            known = self._tokens.get((account, region, str(token))) if token else None
            if known is not None:
                if known[0] != request:
                    raise EbsError(
                        "ConflictException",
                        "The request uses the same client token as a previous one, but it differs.",
                    )
                return self.snapshots[known[1]]
            snapshot = self._new(account, region, request)
            if token:
                self._tokens[account, region, str(token)] = (request, snapshot.id)
            return snapshot

    def _new(self, account: str, region: str, request: StartRequest) -> DirectSnapshot:
        parent = None if request.parent is None else self._parent(region, request)
        by_default = records.encryption_by_default(account, region)
        if parent is not None and by_default and not parent.encrypted:
            raise invalid("The parent snapshot is not encrypted, and encryption by default is enabled")
        encrypted = parent.encrypted if parent is not None else bool(request.encrypted) or by_default
        snapshot = DirectSnapshot(
            id=records.new_snapshot_id(),
            owner=account,
            region=region,
            volume_size=request.volume_size,
            started=self.clock(),
            timeout=timedelta(minutes=request.timeout),
            description=request.description,
            tags=[{"Key": key, "Value": value} for key, value in request.tags],
            encrypted=encrypted,
            kms_key=parent.kms_key if parent is not None else request.kms_key,
            parent=request.parent,
            blocks=dict(parent.blocks) if parent is not None else {},
        )
        self.snapshots[snapshot.id] = snapshot
        records.add(snapshot, self.clock)
        return snapshot

    def _parent(self, region: str, request: StartRequest) -> DirectSnapshot:
        parent = self.find(region, request.parent or "")
        if parent.state(self.clock()) != "completed":
            raise invalid(f"The parent snapshot {parent.id} is not completed", "INVALID_SNAPSHOT_ID")
        if parent.volume_size > request.volume_size:
            raise invalid(
                f"VolumeSize {request.volume_size} GiB is smaller than the parent's {parent.volume_size} GiB",
                "INVALID_VOLUME_SIZE",
            )
        return parent

    # -- PutSnapshotBlock

    def put(self, region: str, snapshot_id: str, index: int, data: bytes, headers: Mapping[str, str]) -> str:
        """Write a block and return its checksum. ``headers``: the request's, names in lower case."""
        with self._lock:
            snapshot = self._pending(region, snapshot_id)
            if not 0 <= index < snapshot.block_count:
                raise invalid(
                    f"Block index {index} is outside of the volume of {snapshot.block_count} blocks",
                    "INVALID_BLOCK",
                )
        digest = _verified(data, headers)
        progress = headers.get("x-amz-progress")
        if progress is not None and not (progress.isdigit() and int(progress) <= 100):
            raise invalid("Progress must be between 0 and 100")
        block = Block(self.files.put(data), digest)
        with self._lock:
            try:
                snapshot = self._pending(region, snapshot_id)
            except EbsError:
                self.files.remove(block.file)
                raise
            replaced = snapshot.blocks.get(index) if index in snapshot.written else None
            snapshot.blocks[index] = block
            snapshot.written.add(index)
            snapshot.last_write = self.clock()
            snapshot.progress = int(progress) if progress is not None else snapshot.progress
            if replaced is not None:
                self.files.remove(replaced.file)
        return base64.b64encode(digest).decode()

    # -- CompleteSnapshot

    def complete(self, region: str, snapshot_id: str, headers: Mapping[str, str]) -> str:
        """Seal a snapshot when the count and the checksum are right.

        Return its state, which is ``pending`` at first.
        """
        with self._lock:
            snapshot = self._pending(region, snapshot_id)
            count = headers.get("x-amz-changedblockscount", "")
            if count != str(len(snapshot.written)):
                raise invalid(
                    f"ChangedBlocksCount is {count or 'missing'}, written were {len(snapshot.written)} blocks"
                )
            checksum = headers.get("x-amz-checksum")
            if checksum is not None:
                _check_algorithm(headers)
                if headers.get("x-amz-checksum-aggregation-method") != "LINEAR":
                    raise invalid("Checksum requires ChecksumAggregationMethod LINEAR")
                if checksum != snapshot.linear_checksum():
                    raise invalid("The checksum does not match the aggregated checksum of the written blocks")
            self._write_index(snapshot)
            snapshot.sealed = self.clock()
            return snapshot.state(self.clock())

    def _write_index(self, snapshot: DirectSnapshot) -> None:
        index = {
            "snapshot": snapshot.id,
            "parent": snapshot.parent,
            "volume_size": snapshot.volume_size * GIB,
            "encrypted": snapshot.encrypted,
            "blocks": {
                str(i): [block.file, block.digest.hex()] for i, block in sorted(snapshot.blocks.items())
            },
        }
        path = self.directory / "snapshots" / f"{snapshot.id}.json"
        write_atomically(path, json.dumps(index, sort_keys=True, indent=1))

    # -- copies

    def copy(self, account: str, source_region: str, region: str, request: CopyRequest) -> DirectSnapshot:
        """Copy a completed snapshot with all its blocks, each into a file of its own. Raises EbsError."""
        source = self.completed(source_region, request.source)
        copied = {index: self._duplicate(block) for index, block in source.blocks.items()}
        snapshot = self._taken(account, region, request, size=source.volume_size, blocks=copied)
        snapshot.encrypted = snapshot.encrypted or source.encrypted
        snapshot.kms_key = request.kms_key or source.kms_key
        snapshot.zeros, snapshot.noise = source.zeros or not source.encrypted, source.noise or source.id
        return self._seal(snapshot)

    def taken(
        self, account: str, region: str, request: CopyRequest, *, size: int, disk: Path | None
    ) -> DirectSnapshot:
        """Take a snapshot of a volume: of a raw ``disk``, or of what the snapshot in ``request`` has."""
        if disk is not None:
            blocks = self._read(disk)
        elif request.source in self.snapshots:
            source = self.completed(region, request.source)
            blocks = {index: self._duplicate(block) for index, block in source.blocks.items()}
        else:
            blocks = {}
        snapshot = self._taken(account, region, request, size=size, blocks=blocks)
        snapshot.zeros = True
        return self._seal(snapshot)

    def made_of(
        self, account: str, region: str, request: CopyRequest, *, size: int, blocks: Mapping[int, bytes]
    ) -> DirectSnapshot:
        """Make a snapshot of GiB ``size`` with these blocks; all others are zeros."""
        stored = {
            index: Block(self.files.put(data), hashlib.sha256(data).digest())
            for index, data in blocks.items()
        }
        snapshot = self._taken(account, region, request, size=size, blocks=stored)
        snapshot.zeros = True
        return self._seal(snapshot)

    def _duplicate(self, block: Block) -> Block:
        return Block(self.files.copy(block.file), block.digest)

    def _read(self, disk: Path) -> dict[int, Block]:
        """Store the blocks of a raw disk that are not all zeros; holes are not read."""
        blocks: dict[int, Block] = {}
        with disk.open("rb") as file:
            size, offset = disk.stat().st_size, 0
            while offset < size:
                try:
                    offset = os.lseek(file.fileno(), offset, os.SEEK_DATA)
                except OSError:  # only a hole is left
                    break
                index = offset // BLOCK_SIZE
                data = read_block(file.fileno(), index)
                if data.count(0) != BLOCK_SIZE:
                    blocks[index] = Block(self.files.put(data), hashlib.sha256(data).digest())
                offset = (index + 1) * BLOCK_SIZE
        return blocks

    def _taken(
        self, account: str, region: str, request: CopyRequest, *, size: int, blocks: dict[int, Block]
    ) -> DirectSnapshot:
        return DirectSnapshot(
            id=records.new_snapshot_id(),
            owner=account,
            region=region,
            volume_size=size,
            started=self.clock(),
            timeout=timedelta(days=3),
            description=request.description,
            tags=[{"Key": key, "Value": value} for key, value in request.tags],
            encrypted=bool(request.encrypted) or records.encryption_by_default(account, region),
            kms_key=request.kms_key,
            parent=None,
            blocks=blocks,
            written=set(blocks),
        )

    def _seal(self, snapshot: DirectSnapshot) -> DirectSnapshot:
        with self._lock:
            self._write_index(snapshot)
            snapshot.sealed = self.clock()
            self.snapshots[snapshot.id] = snapshot
            records.add(snapshot, self.clock)
        return snapshot

    # -- for the others

    def find(self, region: str, snapshot_id: str) -> DirectSnapshot:
        """Return a snapshot of a region; raises ResourceNotFoundException."""
        with self._lock:
            snapshot = self.snapshots.get(snapshot_id)
            if snapshot is None or snapshot.region != region:
                raise not_found(snapshot_id)
            if not snapshot.timed_out and snapshot.state(self.clock()) == "error":
                snapshot.timed_out = True
                self._free(snapshot)
            return snapshot

    def completed(self, region: str, snapshot_id: str) -> DirectSnapshot:
        """Return a completed snapshot: only those can be read."""
        snapshot = self.find(region, snapshot_id)
        if snapshot.state(self.clock()) != "completed":
            raise invalid(f"The snapshot {snapshot_id} is not in the completed state", "INVALID_SNAPSHOT_ID")
        return snapshot

    def _pending(self, region: str, snapshot_id: str) -> DirectSnapshot:
        snapshot = self.find(region, snapshot_id)
        if snapshot.sealed is not None or snapshot.state(self.clock()) != "pending":
            raise invalid(f"The snapshot {snapshot_id} is not in the pending state", "INVALID_SNAPSHOT_ID")
        return snapshot

    def delete(self, snapshot_id: str) -> None:
        """Forget a snapshot and free the blocks that no other one holds. Unknown ids are ignored."""
        with self._lock:
            snapshot = self.snapshots.pop(snapshot_id, None)
            if snapshot is not None:
                self._free(snapshot)
                (self.directory / "snapshots" / f"{snapshot_id}.json").unlink(missing_ok=True)
                self._noise(snapshot_id).unlink(missing_ok=True)

    def _free(self, snapshot: DirectSnapshot) -> None:
        held = {
            block.file
            for other in self.snapshots.values()
            if other is not snapshot
            for block in other.blocks.values()
        }
        for block in snapshot.blocks.values():
            if block.file not in held:
                self.files.remove(block.file)
        snapshot.blocks.clear()
        snapshot.written.clear()

    def blocks_of(self, snapshot_id: str) -> tuple[int, dict[int, Path]]:
        """Return the volume's size in bytes and the file of each block.

        A block that is not in it is all zeros.

        Blocks that were never written to an encrypted snapshot read back as random data on AWS (coldsnap's
        issue 395), so they come as a file of noise, the same in every read of the same snapshot.
        """
        with self._lock:
            snapshot = self.snapshots.get(snapshot_id)
            if snapshot is None or snapshot.state(self.clock()) != "completed":
                raise not_found(snapshot_id)
            paths = {index: self.files.path(block.file) for index, block in snapshot.blocks.items()}
            if snapshot.encrypted and not snapshot.zeros and len(paths) < snapshot.block_count:
                noise = self._noise(snapshot_id)
                if not noise.exists():
                    generator = Random(snapshot.noise or snapshot_id)  # noqa: S311 - noise, not a key
                    noise.write_bytes(generator.randbytes(BLOCK_SIZE))
                paths = {index: paths.get(index, noise) for index in range(snapshot.block_count)}
            return snapshot.volume_size * GIB, paths

    def files_of(self, snapshot_id: str) -> tuple[int, dict[int, Path]]:
        """Do what ``blocks_of`` does for callers that are no clients of the API; raises CloudError."""
        try:
            return self.blocks_of(snapshot_id)
        except EbsError as error:
            raise CloudError(error.message) from error

    def _noise(self, snapshot_id: str) -> Path:
        return self.directory / "snapshots" / f"{snapshot_id}.noise"


def _check_algorithm(headers: Mapping[str, str]) -> None:
    if headers.get("x-amz-checksum-algorithm") != "SHA256":
        raise invalid("ChecksumAlgorithm must be SHA256")


def _verified(data: bytes, headers: Mapping[str, str]) -> bytes:
    """Return the block's digest when length and checksum are those that the request says."""
    if headers.get("x-amz-data-length") != str(BLOCK_SIZE) or len(data) != BLOCK_SIZE:
        raise invalid(
            f"A block has exactly {BLOCK_SIZE} bytes: DataLength is {headers.get('x-amz-data-length')}, "
            f"{len(data)} bytes were sent",
            "INVALID_BLOCK",
        )
    _check_algorithm(headers)
    digest = hashlib.sha256(data).digest()
    if headers.get("x-amz-checksum") != base64.b64encode(digest).decode():
        raise invalid("The checksum does not match the data of the block", "INVALID_BLOCK")
    return digest
