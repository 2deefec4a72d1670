import random

from ingot.bake.disk.differences import BOOT, INODE, METADATA, TABLE, differences
from ingot.bake.disk.ext4.geometry import BLOCK
from ingot.blocks import BLOCK_SIZE
from ingot.quantities import MIB
from tests.bake.disk.helpers import data_file, make_disk, tree


def places(one, other):
    a, b = one.read_bytes(), other.read_bytes()
    blocks = [n for n in range(0, len(a), BLOCK_SIZE) if a[n : n + BLOCK_SIZE] != b[n : n + BLOCK_SIZE]]
    return differences(one, other, [n // BLOCK_SIZE for n in blocks])


def test_a_file_is_named_with_its_bytes(tmp_path):
    content = random.Random(1).randbytes(50_000)
    changed = (
        content[:9_999] + bytes([content[9_999] ^ 1]) + content[10_000:40_000] + bytes(10) + content[40_010:]
    )
    one, _ = make_disk(tmp_path, tree(data_file("/etc/a", b"same"), data_file("/etc/b", content)), name="one")
    (tmp_path / "2").mkdir()
    other, _ = make_disk(
        tmp_path / "2", tree(data_file("/etc/a", b"same"), data_file("/etc/b", changed)), name="one"
    )
    (found,) = places(one, other)
    assert (found.what, found.inside, found.differing) == (
        "/etc/b",
        9_999,
        1 + sum(x != 0 for x in content[40_000:40_010]),
    )
    assert one.read_bytes()[found.offset] == content[9_999]


def test_what_is_no_file_has_words(tmp_path):
    one, _ = make_disk(tmp_path, tree(data_file("/etc/a", b"x", mode=0o644)), name="one")
    (tmp_path / "2").mkdir()
    other, _ = make_disk(tmp_path / "2", tree(data_file("/etc/a", b"x", mode=0o600)), name="one")
    assert [place.what for place in places(one, other)] == [f"{INODE}/etc/a"]
    data = bytearray(one.read_bytes())
    for offset in (20, 0, MIB + 5 * BLOCK, len(data) - 10):
        data[offset] ^= 0xFF
    (tmp_path / "three.raw").write_bytes(data)
    assert [place.what for place in places(one, tmp_path / "three.raw")] == [TABLE, METADATA]
    assert BOOT == "the boot partition"
