"""The kept disks of a layer: how many stay, while several bakes clear up."""

import os
import threading

from ingot.bake.layers.lower_disk import MOST, copy_disk, remove_oldest


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
