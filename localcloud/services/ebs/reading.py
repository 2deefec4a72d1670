"""The operations of the EBS direct APIs that read: listing, paging, tokens, blocks."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from ingot.blocks import BLOCK_SIZE
from localcloud.services.ebs.errors import invalid
from localcloud.services.ebs.service import EbsService
from localcloud.services.ebs.snapshot import Block

BLOCK_TOKEN_LIFE = timedelta(days=7)  # "Block tokens expire after 7 days" (user guide, "List blocks")
PAGE_TOKEN_LIFE = timedelta(minutes=60)  # "The NextToken ... is valid for 60 minutes"


class Tokens:
    """Opaque tokens that only this cloud can make: what they stand for, an end, and a signature."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def make(self, *parts: str | int, expires: datetime) -> str:
        """Return a token of base64's alphabet, at most 256 characters."""
        content = json.dumps([*parts, int(expires.timestamp())]).encode()
        return base64.b64encode(self._sign(content) + content).decode()

    def open(self, token: str, now: datetime, reason: str) -> list[str | int]:
        """Return a token's parts.

        Raises ValidationException with ``reason`` when it is not valid (any more).
        """
        try:
            raw = base64.b64decode(token, validate=True)
        except ValueError:
            raw = b""
        signature, content = raw[:16], raw[16:]
        if not hmac.compare_digest(signature, self._sign(content)):
            raise invalid("The token is not valid", reason)
        *parts, end = json.loads(content)
        if now.timestamp() >= end:
            raise invalid("The token is expired", reason)
        return list(parts)

    def _sign(self, content: bytes) -> bytes:
        return hmac.new(self._key, content, hashlib.sha256).digest()[:16]


class Reader:
    """ListSnapshotBlocks, ListChangedBlocks, GetSnapshotBlock."""

    def __init__(self, service: EbsService) -> None:
        self.service = service
        self.tokens = Tokens()

    def list_blocks(self, region: str, snapshot_id: str, query: Mapping[str, str]) -> dict[str, Any]:
        """Answer ListSnapshotBlocks."""
        snapshot = self.service.completed(region, snapshot_id)
        page, answer = self._page(sorted(snapshot.blocks), snapshot_id, query)
        answer["VolumeSize"] = snapshot.volume_size
        answer["Blocks"] = [
            {"BlockIndex": index, "BlockToken": self._token(snapshot_id, index, snapshot.blocks)}
            for index in page
        ]
        return answer

    def list_changed(self, region: str, second_id: str, query: Mapping[str, str]) -> dict[str, Any]:
        """Answer ListChangedBlocks: both snapshots must be of one lineage."""
        second = self.service.completed(region, second_id)
        first_id = query.get("firstSnapshotId")
        before: dict[int, Block] = {}
        if first_id is not None:
            first = self.service.completed(region, first_id)
            if not self._lineage(first_id) & self._lineage(second_id):
                raise invalid("The snapshots are not of the same lineage", "UNRELATED_SNAPSHOTS")
            before = first.blocks
        indexes = sorted(before.keys() | second.blocks.keys())
        changed = [index for index in indexes if before.get(index) != second.blocks.get(index)]
        page, answer = self._page(changed, f"{first_id}/{second_id}", query)
        answer["VolumeSize"] = second.volume_size
        answer["ChangedBlocks"] = [
            {"BlockIndex": index}
            | ({"FirstBlockToken": self._token(first_id or "", index, before)} if index in before else {})
            | (
                {"SecondBlockToken": self._token(second_id, index, second.blocks)}
                if index in second.blocks
                else {}
            )
            for index in page
        ]
        return answer

    def get(self, region: str, snapshot_id: str, index: int, token: str) -> tuple[bytes, str]:
        """Answer GetSnapshotBlock: the bytes as they are on disk now, and the checksum of what was put."""
        snapshot = self.service.completed(region, snapshot_id)
        of, at, file = self.tokens.open(token, self.service.clock(), "INVALID_BLOCK_TOKEN")
        block = snapshot.blocks.get(index)
        if (of, at) != (snapshot_id, index) or block is None or block.file != file:
            raise invalid("The block token is not for this block", "INVALID_BLOCK_TOKEN")
        return self.service.files.get(block.file), base64.b64encode(block.digest).decode()

    def _lineage(self, snapshot_id: str) -> set[str]:
        """Return the snapshot's id and those of its ancestors; the last one may be gone by now."""
        lineage: set[str] = set()
        at: str | None = snapshot_id
        while at is not None and at not in lineage:
            lineage.add(at)
            snapshot = self.service.snapshots.get(at)
            at = snapshot.parent if snapshot is not None else None
        return lineage

    def _token(self, snapshot_id: str, index: int, blocks: Mapping[int, Block]) -> str:
        expires = self.service.clock() + BLOCK_TOKEN_LIFE
        return self.tokens.make(snapshot_id, index, blocks[index].file, expires=expires)

    def _page(
        self, indexes: list[int], what: str, query: Mapping[str, str]
    ) -> tuple[list[int], dict[str, Any]]:
        """Return the indexes of the page that the query asks for and the fields that all lists have."""
        now = self.service.clock()
        limit = _number(query, "maxResults", 10000)
        if not 100 <= limit <= 10000:
            raise invalid(f"MaxResults must be between 100 and 10000, not {limit}")
        start = _number(query, "startingBlockIndex", 0)
        token = query.get("pageToken")
        if token is not None:
            of, at = self.tokens.open(token, now, "INVALID_PAGE_TOKEN")
            if of != what:
                raise invalid("The page token is of another list", "INVALID_PAGE_TOKEN")
            start = int(at)
        rest = [index for index in indexes if index >= start]
        answer: dict[str, Any] = {"BlockSize": BLOCK_SIZE, "ExpiryTime": (now + BLOCK_TOKEN_LIFE).timestamp()}
        if len(rest) > limit:
            answer["NextToken"] = self.tokens.make(what, rest[limit], expires=now + PAGE_TOKEN_LIFE)
        return rest[:limit], answer


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not text.isdigit():
        raise invalid(f"{name} is not a number: {text}")
    return int(text)
