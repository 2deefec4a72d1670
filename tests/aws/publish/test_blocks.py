"""Block maps: what differs from a parent, and manifests that contradict themselves."""

from __future__ import annotations

import hashlib

import pytest

from ingot.aws.publish.blocks import BlockMap, DiskReader
from ingot.blocks import BLOCK_SIZE, ZERO_DIGEST, root_digest
from ingot.errors import PublishError
from ingot.quantities import GIB
from tests.aws.support import make_image


def blocks(*digests):
    return BlockMap(len(digests) * BLOCK_SIZE, digests, "")


def test_what_changed_since_a_parent_includes_new_zeros():
    parent, child = blocks("a", "b", None, None, "e"), blocks("a", None, None, "d", "E")
    assert child.changed_since(parent) == [1, 3, 4]


def test_a_parent_of_another_length_is_compared_in_full():
    assert blocks("a", "b", "c").changed_since(blocks("a")) == [1, 2]
    assert blocks("a").changed_since(blocks("a", None, "c")) == [2], (
        "what the parent has beyond must become zeros"
    )


def test_the_root_digest_counts_zero_blocks_with_their_digest():
    one = hashlib.sha256(b"1").hexdigest()
    expected = hashlib.sha256(bytes.fromhex(one) + bytes.fromhex(ZERO_DIGEST)).hexdigest()
    assert root_digest([one, None]) == expected


@pytest.mark.parametrize(("size", "gib"), [(1, 1), (GIB, 1), (GIB + 1, 2), (2 * GIB, 2)])
def test_a_volume_is_rounded_up_to_whole_gib(size, gib):
    assert BlockMap(size, (), "").gib == gib


def test_a_manifest_with_too_few_blocks_is_refused(tmp_path):
    manifest = make_image(tmp_path, ["a", "b"]).manifest
    manifest["disk"]["blocks"].pop()
    with pytest.raises(PublishError, match="lists 1 blocks"):
        BlockMap.of(manifest)


def test_a_disk_of_another_size_is_refused(tmp_path):
    image = make_image(tmp_path, ["a", "b"])
    with image.disk.open("ab") as disk:
        disk.write(b"x")
    with pytest.raises(PublishError, match="has 1048577 bytes, its manifest says 1048576"):
        DiskReader(image.disk, BlockMap.of(image.manifest))
