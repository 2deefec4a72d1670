"""dsnap downloads a snapshot through the EBS direct APIs: what it writes equals the disk."""

import hashlib
from pathlib import Path

import pytest

from tests.localcloud.clients.conftest import Run
from tests.localcloud.conftest import BLOCK, LocalCloud, block

SIZE = 2**30


@pytest.mark.slow
def test_a_downloaded_snapshot_equals_the_disk(clients: Run, local_cloud: LocalCloud, tmp_path: Path) -> None:
    """A snapshot on a parent: blocks of both, one that was written again, the last one, and holes."""
    first = {0: block(1), 1: block(2), 700: block(3)}
    parent = local_cloud.snapshot(first)
    second = {1: block(4), SIZE // BLOCK - 1: block(5)}
    child = local_cloud.snapshot(second, ParentSnapshotId=parent)
    done = clients("dsnap", "--region", "us-east-1", "get", child)
    assert done.returncode == 0, done.stdout + done.stderr
    expected = tmp_path / "expected"
    with expected.open("wb") as disk:
        for index, data in {**first, **second}.items():
            disk.seek(index * BLOCK)
            disk.write(data)
        disk.truncate(SIZE)
    assert digest(tmp_path / f"{child}.img") == digest(expected)


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
