"""The blocks of a snapshot: digests, and which of them a snapshot must be given."""

import hashlib

import pytest

from ingot.blocks import (
    BLOCK_SIZE,
    ZERO_BLOCK,
    ZERO_DIGEST,
    as_checksum,
    block_count,
    block_digest,
    changed,
    digest_disk,
    linear_digest,
    read_block,
    root_digest,
    to_send,
    written,
)

A, B = (hashlib.sha256(data).hexdigest() for data in (b"a", b"b"))


def test_a_zero_block_is_one_block_of_zeros():
    assert BLOCK_SIZE == 524288
    assert hashlib.sha256(bytes(524288)).hexdigest() == ZERO_DIGEST
    assert bytes(524288) == ZERO_BLOCK


@pytest.mark.parametrize(
    ("size", "count"), [(0, 0), (1, 1), (BLOCK_SIZE, 1), (BLOCK_SIZE + 1, 2), (2 * BLOCK_SIZE, 2)]
)
def test_the_last_block_may_be_partly_used(size, count):
    assert block_count(size) == count


def test_a_disk_is_read_whole_and_its_zeros_have_no_digest(tmp_path):
    disk = tmp_path / "disk.raw"
    disk.write_bytes(b"a" * BLOCK_SIZE + ZERO_BLOCK + b"b")
    with disk.open("rb") as file:
        digest = digest_disk(file.fileno())
    blocks = (
        hashlib.sha256(b"a" * BLOCK_SIZE).hexdigest(),
        None,
        hashlib.sha256(b"b" + ZERO_BLOCK[1:]).hexdigest(),
    )
    assert digest.blocks == blocks
    assert [block_digest(block) for block in (b"a" * BLOCK_SIZE, ZERO_BLOCK)] == [blocks[0], None]
    assert (digest.size, digest.used) == (2 * BLOCK_SIZE + 1, 2 * BLOCK_SIZE)
    assert digest.root_digest == root_digest(blocks)


def test_the_linear_digest_depends_on_the_order():
    assert linear_digest([A, B]) == hashlib.sha256(bytes.fromhex(A + B)).digest()
    assert linear_digest([B, A]) != linear_digest([A, B])


def test_the_root_digest_counts_zero_blocks():
    assert root_digest([A, None, B]) == linear_digest([A, ZERO_DIGEST, B]).hex()


def test_changed_includes_what_became_zeros_and_what_the_other_has_beyond():
    assert changed([A, None, None, B], [A, B]) == [1, 3]
    assert changed([A], [A, None, B]) == [2]


def test_a_snapshot_without_a_parent_is_given_what_is_not_zeros():
    assert to_send([A, None, B], None, encrypted=False) == written([A, None, B]) == [0, 2]


def test_an_encrypted_snapshot_without_a_parent_is_given_zeros_too():
    assert to_send([A, None, B], None, encrypted=True) == [0, 1, 2]


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_child_is_given_what_differs_from_its_parent(encrypted):
    assert to_send([A, None, B], [A, B, B], encrypted=encrypted) == [1]


def test_a_block_is_read_at_its_place_and_padded_at_the_end(tmp_path):
    disk = tmp_path / "disk.raw"
    disk.write_bytes(b"a" * BLOCK_SIZE + b"end")
    with disk.open("rb") as file:
        assert read_block(file.fileno(), 1) == b"end" + bytes(BLOCK_SIZE - 3)
        assert read_block(file.fileno(), 0) == b"a" * BLOCK_SIZE
        assert file.tell() == 0


def test_a_checksum_is_the_digest_in_base64():
    assert as_checksum(hashlib.sha256(b"").hexdigest()) == "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
