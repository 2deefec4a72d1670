"""One changed file changes few blocks of the disk."""

import random

from ingot.quantities import MIB
from tests.bake.disk.helpers import check, data_file, make_disk, tree

LOWER = [
    data_file(f"/usr/lib/d{n % 40}/file{n}", random.Random(n).randbytes(n * 37 % 50_000)) for n in range(1500)
]
APP = [data_file(f"/srv/web/d{n % 5}/f{n}", random.Random(n).randbytes(4096)) for n in range(200)]
LARGE = [data_file(f"/srv/data/f{n}", random.Random(n).randbytes(900_000 + n)) for n in range(10)]


def changed(tmp_path, before, after):
    first = make_disk(tmp_path, tree(*LOWER), 512 * MIB, upper=tree(*LOWER, *before))[1]
    disk, second = make_disk(tmp_path, tree(*LOWER), 512 * MIB, upper=tree(*LOWER, *after))
    check(disk)
    return sum(a != b for a, b in zip(first.blocks, second.blocks, strict=True))


def replaced(files, number, size):
    return [f if n != number else data_file(f.path, b"changed!" * (size // 8)) for n, f in enumerate(files)]


def test_a_changed_file_of_4_kib_changes_one_block(tmp_path):
    assert changed(tmp_path, APP + LARGE, replaced(APP, 77, 4096) + LARGE) == 1


def test_a_file_that_grows_changes_four_blocks_at_most(tmp_path):
    # Superblock with bitmaps, inode table, and the bucket of 512 KiB.
    assert changed(tmp_path, APP + LARGE, replaced(APP, 77, 9000) + LARGE) <= 4


def test_a_large_file_that_grows_moves_no_other(tmp_path):
    assert changed(tmp_path, APP + LARGE, APP + replaced(LARGE, 3, 940_000)) <= 5


def test_a_new_file_changes_few_blocks(tmp_path):
    new = data_file("/srv/web/d1/added", b"new" * 1000)
    assert changed(tmp_path, APP + LARGE, [*APP, new, *LARGE]) <= 5


def test_the_lower_layer_does_not_move_with_the_upper(tmp_path):
    # Twice as much app: superblock and bitmaps, root directory, the app itself; nothing of the 18 MiB of the
    # lower layer.
    assert changed(tmp_path, APP, APP + LARGE) < 30
