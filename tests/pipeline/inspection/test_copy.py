"""A copy of an image that answers: its file system stays sound, and the image stays as it is."""

import hashlib

import pytest

from ingot.bake.disk import read_ext4
from ingot.pipeline.inspection.copy import PROGRAM, UNIT, copy_disk
from ingot.process import run
from tests.bake.disk.helpers import MIB, data_file, make_disk, tree

WANTED = "/etc/systemd/system/sysinit.target.wants/ingot-inspection.service"


@pytest.fixture
def image(tmp_path):
    disk, _ = make_disk(
        tmp_path,
        tree(data_file("/etc/hostname", b"web\n"), directories=["/usr/lib", "/etc/systemd"]),
        64 * MIB,
    )
    return disk


def test_the_copy_has_a_unit_that_the_boot_starts_and_the_image_has_none(image, tmp_path):
    before = hashlib.sha256(image.read_bytes()).hexdigest()
    inspected = copy_disk(image, tmp_path / "copy.raw")
    assert hashlib.sha256(image.read_bytes()).hexdigest() == before
    with read_ext4(inspected.disk) as reader:
        found = {entry.path: entry for entry in reader.entries()}
        assert inspected.token in reader.read(PROGRAM).decode()
        assert f"ExecStart=/bin/sh {PROGRAM}\n" in reader.read(UNIT).decode()
        assert reader.read("/etc/hostname") == b"web\n"
    assert found[WANTED].link == UNIT
    assert {(found[path].uid, found[path].gid, found[path].mode) for path in (UNIT, PROGRAM)} == {
        (0, 0, 0o644)
    }


def test_the_copys_file_system_is_sound(image, tmp_path):
    inspected = copy_disk(image, tmp_path / "copy.raw")
    done = run(["e2fsck", "-fn", f"{inspected.disk}?offset={MIB}"], check=False)
    assert done.returncode == 0, done.stdout


def test_nobody_else_reads_the_copy_and_each_has_a_token_of_its_own(image, tmp_path):
    one, other = copy_disk(image, tmp_path / "1.raw"), copy_disk(image, tmp_path / "2.raw")
    assert one.disk.stat().st_mode & 0o777 == 0o600
    assert one.token != other.token
