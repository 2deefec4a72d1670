"""The kept disks of a layer: how many stay, while several bakes clear up, and that they hold the layer."""

import os
import threading

import pytest

from ingot.bake.disk.index import LayerIndex
from ingot.bake.layers.layer import LowerLayer
from ingot.bake.layers.lower_disk import MOST, copy_disk, proof, remove_oldest
from ingot.errors import BakeError
from tests.bake.disk.helpers import EPOCH, data_file, make_disk, tree

ENTRIES = tree(data_file("/etc/x", b"content of x"), data_file("/etc/y", b"content of y"))


def test_bakes_that_clear_up_at_the_same_time_do_not_hinder_each_other(tmp_path):
    for number in range(400):
        (tmp_path / f"{number:064}").mkdir()
        os.utime(tmp_path / f"{number:064}", (number, number))
    start, failures = threading.Barrier(4), []

    def clear():
        start.wait()
        try:
            remove_oldest(tmp_path, "newest")
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=clear) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == MOST - 1


def test_the_copy_of_a_disk_is_its_owner_s_alone(tmp_path):
    """A file of mode 0600 in the image is in it."""
    (tmp_path / "lower").write_bytes(b"x" * 4096)
    (tmp_path / "lower").chmod(0o644)
    copy_disk(tmp_path / "lower", tmp_path / "disk.raw")
    assert f"{(tmp_path / 'disk.raw').stat().st_mode & 0o777:o}" == "600"


def layer_on_a_disk(directory, entries=ENTRIES):
    """The index of a layer in ``directory``, and the disk that was written of ``entries``."""
    LayerIndex.of(ENTRIES, directory / "root", EPOCH).save(directory / "index")
    return make_disk(directory, entries)[0]


def proved(directory, disk):
    with proof(LowerLayer(directory, EPOCH), disk):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="a process changes its root")
def test_a_disk_that_holds_its_layer_is_proved(tmp_path):
    proved(tmp_path, layer_on_a_disk(tmp_path))


@pytest.mark.skipif(os.geteuid() != 0, reason="a process changes its root")
def test_a_byte_that_is_another_on_the_disk_is_found(tmp_path):
    disk = layer_on_a_disk(tmp_path)
    content = bytearray(disk.read_bytes())
    content[content.index(b"content of x")] ^= 1
    disk.write_bytes(content)
    with pytest.raises(BakeError, match=r"^/etc/x is not on the disk as it is in the layer"):
        proved(tmp_path, disk)


@pytest.mark.skipif(os.geteuid() != 0, reason="a process changes its root")
def test_a_file_that_is_not_on_the_disk_is_found(tmp_path):
    disk = layer_on_a_disk(tmp_path, [entry for entry in ENTRIES if entry.path != "/etc/y"])
    with pytest.raises(BakeError, match=r"^the disk does not hold all of the layer"):
        proved(tmp_path, disk)
