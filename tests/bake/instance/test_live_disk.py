"""What is read of the disk of a builder that booted a base AMI."""

import hashlib

from ingot.bake.instance.live import read_disk
from ingot.blocks import BLOCK_SIZE


def test_each_block_has_its_digest_and_zeros_have_none(tmp_path):
    disk = tmp_path / "disk"
    blocks = [
        b"a" * BLOCK_SIZE,
        bytes(BLOCK_SIZE),
        bytes(BLOCK_SIZE - 1) + b"b",
        b"end".ljust(BLOCK_SIZE, b"\0"),
    ]
    disk.write_bytes(b"".join(blocks).rstrip(b"\0"))
    digests = [hashlib.sha256(block).digest() for block in blocks]
    digest = read_disk(disk)
    assert digest.size == 3 * BLOCK_SIZE + len("end")
    assert digest.used == 3 * BLOCK_SIZE
    assert digest.blocks == (digests[0].hex(), None, digests[2].hex(), digests[3].hex())
    assert digest.root_digest == hashlib.sha256(b"".join(digests)).hexdigest()
