"""The EBS direct APIs answer as AWS does.

Sources: Amazon EBS API reference; user guide, "EBS direct APIs".
"""

import base64
import hashlib
import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from localcloud.services.ebs.blocks import BlockFiles
from localcloud.services.ebs.errors import EbsError
from localcloud.services.ebs.reading import BLOCK_TOKEN_LIFE, Tokens
from localcloud.services.ebs.snapshot import DirectSnapshot
from tests.localcloud.conftest import BLOCK, LocalCloud, block, checksum, put_block


def refused(call, *arguments, **parameters) -> tuple[str, str | None, int]:
    with pytest.raises(ClientError) as caught:
        call(*arguments, **parameters)
    answer = caught.value.response
    return answer["Error"]["Code"], answer.get("Reason"), answer["ResponseMetadata"]["HTTPStatusCode"]


def test_a_snapshot_is_pending_until_it_is_completed_and_reads_back(local_cloud: LocalCloud) -> None:
    ebs, ec2 = local_cloud.client("ebs"), local_cloud.client("ec2")
    started = ebs.start_snapshot(VolumeSize=2, Description="d", Tags=[{"Key": "k", "Value": "v"}])
    snapshot_id = started["SnapshotId"]
    assert (started["Status"], started["BlockSize"], started["VolumeSize"]) == ("pending", BLOCK, 2)
    put_block(ebs, snapshot_id, 7, block(7), Progress=50)
    put_block(ebs, snapshot_id, 3, block(3))
    record = ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"][0]
    assert (record["State"], record["Progress"], record["Description"]) == ("pending", "50%", "d")
    assert record["Tags"] == [{"Key": "k", "Value": "v"}]
    assert refused(ebs.list_snapshot_blocks, SnapshotId=snapshot_id)[0] == "ValidationException"
    linear = hashlib.sha256(hashlib.sha256(block(3)).digest() + hashlib.sha256(block(7)).digest()).digest()
    completed = ebs.complete_snapshot(
        SnapshotId=snapshot_id,
        ChangedBlocksCount=2,
        Checksum=base64.b64encode(linear).decode(),
        ChecksumAlgorithm="SHA256",
        ChecksumAggregationMethod="LINEAR",
    )
    assert completed["Status"] == "pending"
    ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[snapshot_id], WaiterConfig={"Delay": 1})
    listed = ebs.list_snapshot_blocks(SnapshotId=snapshot_id)
    assert [b["BlockIndex"] for b in listed["Blocks"]] == [3, 7]
    token = listed["Blocks"][1]["BlockToken"]
    got = ebs.get_snapshot_block(SnapshotId=snapshot_id, BlockIndex=7, BlockToken=token)
    assert got["BlockData"].read() == block(7)
    assert got["Checksum"] == checksum(block(7))
    wrong = refused(ebs.get_snapshot_block, SnapshotId=snapshot_id, BlockIndex=3, BlockToken=token)
    assert wrong == ("ValidationException", "INVALID_BLOCK_TOKEN", 400)
    assert refused(put_block, ebs, snapshot_id, 1, block(1))[0] == "ValidationException"


def test_a_block_must_be_whole_in_range_and_match_its_checksum(local_cloud: LocalCloud) -> None:
    ebs = local_cloud.client("ebs")
    snapshot_id = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    invalid = ("ValidationException", "INVALID_BLOCK", 400)
    assert refused(put_block, ebs, snapshot_id, 0, b"short") == invalid
    assert refused(put_block, ebs, snapshot_id, 0, block(1), Checksum=checksum(block(2))) == invalid
    assert refused(put_block, ebs, snapshot_id, 2048, block(1)) == invalid
    put_block(ebs, snapshot_id, 2047, block(1))
    missing = ("ResourceNotFoundException", "SNAPSHOT_NOT_FOUND", 404)
    assert refused(put_block, ebs, "snap-0123456789abcdef0", 0, block(1)) == missing


def test_completion_checks_count_and_aggregated_checksum(local_cloud: LocalCloud) -> None:
    ebs = local_cloud.client("ebs")
    snapshot_id = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    put_block(ebs, snapshot_id, 0, block(1))
    put_block(ebs, snapshot_id, 0, block(2))  # overwritten: still one block
    assert (
        refused(ebs.complete_snapshot, SnapshotId=snapshot_id, ChangedBlocksCount=2)[0]
        == "ValidationException"
    )
    parameters = {"ChecksumAlgorithm": "SHA256", "ChecksumAggregationMethod": "LINEAR"}
    wrong = refused(
        ebs.complete_snapshot,
        SnapshotId=snapshot_id,
        ChangedBlocksCount=1,
        Checksum=checksum(b""),
        **parameters,
    )
    assert wrong[0] == "ValidationException"
    right = checksum(hashlib.sha256(block(2)).digest())
    ebs.complete_snapshot(SnapshotId=snapshot_id, ChangedBlocksCount=1, Checksum=right, **parameters)


def test_start_checks_its_parameters(local_cloud: LocalCloud) -> None:
    ebs = local_cloud.client("ebs")
    parent = local_cloud.snapshot({0: block(1)}, size=2)
    assert refused(ebs.start_snapshot, VolumeSize=65537)[1] == "INVALID_VOLUME_SIZE"
    assert refused(ebs.start_snapshot, VolumeSize=1, Timeout=4321)[0] == "ValidationException"
    assert (
        refused(ebs.start_snapshot, VolumeSize=2, ParentSnapshotId=parent, Encrypted=True)[0]
        == "ValidationException"
    )
    assert refused(ebs.start_snapshot, VolumeSize=1, ParentSnapshotId=parent)[1] == "INVALID_VOLUME_SIZE"
    pending = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    assert refused(ebs.start_snapshot, VolumeSize=1, ParentSnapshotId=pending)[0] == "ValidationException"
    gone = refused(ebs.start_snapshot, VolumeSize=1, ParentSnapshotId="snap-0123456789abcdef0")
    assert gone[0] == "ResourceNotFoundException"


def test_the_same_client_token_starts_one_snapshot(local_cloud: LocalCloud) -> None:
    ebs = local_cloud.client("ebs")
    first = ebs.start_snapshot(VolumeSize=1, ClientToken="token-1")["SnapshotId"]
    assert ebs.start_snapshot(VolumeSize=1, ClientToken="token-1")["SnapshotId"] == first
    assert refused(ebs.start_snapshot, VolumeSize=2, ClientToken="token-1")[0] == "ConflictException"


def test_a_child_is_its_parent_and_its_changes(local_cloud: LocalCloud) -> None:
    ebs = local_cloud.client("ebs")
    parent = local_cloud.snapshot({0: block(1), 1: block(1)})
    child = local_cloud.snapshot({1: block(2), 2: block(2)}, ParentSnapshotId=parent)
    stranger = local_cloud.snapshot({0: block(1)})
    listed = ebs.list_snapshot_blocks(SnapshotId=child)["Blocks"]
    assert [b["BlockIndex"] for b in listed] == [0, 1, 2]
    changed = ebs.list_changed_blocks(FirstSnapshotId=parent, SecondSnapshotId=child)["ChangedBlocks"]
    assert [b["BlockIndex"] for b in changed] == [1, 2]
    assert "FirstBlockToken" not in changed[1]
    token = changed[0]["SecondBlockToken"]
    got = ebs.get_snapshot_block(SnapshotId=child, BlockIndex=1, BlockToken=token)
    assert got["BlockData"].read() == block(2)
    unrelated = refused(ebs.list_changed_blocks, FirstSnapshotId=stranger, SecondSnapshotId=child)
    assert unrelated == ("ValidationException", "UNRELATED_SNAPSHOTS", 400)


def test_deleting_a_snapshot_frees_the_blocks_that_nobody_else_holds(local_cloud: LocalCloud) -> None:
    ec2 = local_cloud.client("ec2")
    parent = local_cloud.snapshot({0: block(1), 1: block(1)})
    child = local_cloud.snapshot({1: block(2)}, ParentSnapshotId=parent)
    of_parent, of_child = (
        local_cloud.context.hooks.blocks_of(parent)[1],
        local_cloud.context.hooks.blocks_of(child)[1],
    )
    assert of_parent[0] == of_child[0]
    ec2.delete_snapshot(SnapshotId=parent)
    assert of_child[0].exists()
    assert not of_parent[1].exists()
    ec2.delete_snapshot(SnapshotId=child)
    assert not of_child[0].exists()


def test_lists_come_in_pages_and_tokens_are_checked(local_cloud: LocalCloud) -> None:
    ebs = local_cloud.client("ebs")
    snapshot_id = local_cloud.snapshot({index: block(1) for index in range(101)})
    first = ebs.list_snapshot_blocks(SnapshotId=snapshot_id, MaxResults=100)
    assert len(first["Blocks"]) == 100
    second = ebs.list_snapshot_blocks(SnapshotId=snapshot_id, MaxResults=100, NextToken=first["NextToken"])
    assert [b["BlockIndex"] for b in second["Blocks"]] == [100]
    assert "NextToken" not in second
    bad = refused(ebs.list_snapshot_blocks, SnapshotId=snapshot_id, NextToken="bm9uc2Vuc2U=")
    assert bad == ("ValidationException", "INVALID_PAGE_TOKEN", 400)
    assert (
        refused(ebs.list_snapshot_blocks, SnapshotId=snapshot_id, MaxResults=10001)[0]
        == "ValidationException"
    )


def test_a_flipped_bit_reaches_the_reader(local_cloud: LocalCloud) -> None:
    ebs = local_cloud.client("ebs")
    snapshot_id = local_cloud.snapshot({0: block(1)})
    path = local_cloud.context.hooks.blocks_of(snapshot_id)[1][0]
    path.write_bytes(bytes([0]) + path.read_bytes()[1:])
    token = ebs.list_snapshot_blocks(SnapshotId=snapshot_id)["Blocks"][0]["BlockToken"]
    got = ebs.get_snapshot_block(SnapshotId=snapshot_id, BlockIndex=0, BlockToken=token)
    assert checksum(got["BlockData"].read()) != got["Checksum"]


def test_omitted_blocks_of_an_encrypted_snapshot_are_not_zeros(local_cloud: LocalCloud) -> None:
    plain = local_cloud.snapshot({0: block(1)})
    assert list(local_cloud.context.hooks.blocks_of(plain)[1]) == [0]
    encrypted = local_cloud.snapshot({0: block(1)}, Encrypted=True)
    size, blocks = local_cloud.context.hooks.blocks_of(encrypted)
    assert (size, len(blocks)) == (1024**3, 2048)
    assert any(blocks[1].read_bytes())
    record = local_cloud.client("ec2").describe_snapshots(SnapshotIds=[encrypted])["Snapshots"][0]
    assert record["Encrypted"]


def test_encryption_by_default_encrypts_and_refuses_a_plain_parent(local_cloud: LocalCloud) -> None:
    ebs, ec2 = local_cloud.client("ebs"), local_cloud.client("ec2")
    parent = local_cloud.snapshot({0: block(1)})
    ec2.enable_ebs_encryption_by_default()
    try:
        assert ebs.start_snapshot(VolumeSize=1)["SseType"] != "none"
        assert refused(ebs.start_snapshot, VolumeSize=1, ParentSnapshotId=parent)[0] == "ValidationException"
    finally:
        ec2.disable_ebs_encryption_by_default()


def test_a_snapshot_is_of_one_region(local_cloud: LocalCloud) -> None:
    snapshot_id = local_cloud.snapshot({0: block(1)})
    other = local_cloud.client("ebs", "eu-central-1")
    assert refused(other.list_snapshot_blocks, SnapshotId=snapshot_id)[0] == "ResourceNotFoundException"


def test_a_pending_snapshot_times_out() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    snapshot = DirectSnapshot(
        id="snap-0", owner="1", region="r", volume_size=1, started=now, timeout=timedelta(minutes=10),
        description="", tags=[], encrypted=False, kms_key=None, parent=None,
    )  # fmt: skip
    assert snapshot.state(now + timedelta(minutes=9)) == "pending"
    snapshot.last_write = now + timedelta(minutes=9)
    assert snapshot.state(now + timedelta(minutes=18)) == "pending"
    assert snapshot.state(now + timedelta(minutes=19)) == "error"


def test_tokens_end_and_cannot_be_forged() -> None:
    tokens, now = Tokens(), datetime(2026, 1, 1, tzinfo=UTC)
    token = tokens.make("snap-0", 3, "file", expires=now + BLOCK_TOKEN_LIFE)
    assert tokens.open(token, now, "INVALID_BLOCK_TOKEN") == ["snap-0", 3, "file"]
    with pytest.raises(EbsError, match="expired"):
        tokens.open(token, now + BLOCK_TOKEN_LIFE, "INVALID_BLOCK_TOKEN")
    with pytest.raises(EbsError, match="not valid"):
        Tokens().open(token, now, "INVALID_BLOCK_TOKEN")


def test_a_block_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = BlockFiles(tmp_path / "blocks")

    def full(self: Path, data: bytes) -> int:
        os.close(os.open(self, os.O_CREAT | os.O_WRONLY))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        files.put(block(1))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")
def test_a_full_disk_is_a_refusal_that_names_it_and_nobody_repeats(local_cloud: LocalCloud) -> None:
    ebs, blocks = local_cloud.client("ebs"), local_cloud.context.directory / "ebs" / "blocks"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=768k", "small", blocks], check=True)
    try:
        snapshot_id = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
        put_block(ebs, snapshot_id, 0, block(1))
        with pytest.raises(
            ClientError, match=f"There is no room left on the file system of {blocks}"
        ) as caught:
            put_block(ebs, snapshot_id, 1, block(2))
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 402
        assert not list(blocks.rglob("*.part"))
    finally:
        subprocess.run(["umount", blocks], check=True)
