"""The command line of a machine: data disks before the root, named by their firmware."""

import shutil
from pathlib import Path

import pytest

from ingot.aws.instances.launch import data_mappings
from ingot.machines.qemu import DataDisk, MachineSpec, again, command
from ingot.pipeline.boot import data_disks

pytestmark = pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="needs QEMU")
MANIFEST = {"volumes": [{"name": "data", "device": "/dev/sdf", "mount": "/srv/data", "size": 3 << 30}]}


def spec(*data: DataDisk) -> MachineSpec:
    return MachineSpec(
        "i-1", 512, 1, "172.31.0.10", "02:00:ac:1f:00:0a", Path("/base"), 2 << 30, "vol-0aa", data=data
    )


def test_the_firmware_says_which_disk_is_which_and_the_root_is_not_the_first():
    words = command(spec(DataDisk("sdf", "vol-0bb", 1 << 30)), accelerator="tcg", monitor=3)
    assert "type=11,value=ingot-disk:vol0bb=sdf" in words
    devices = [word for word in words if word.startswith("nvme,")]
    assert devices == ["nvme,serial=vol0bb,drive=data-vol0bb", "nvme,serial=vol0aa,drive=root,bootindex=0"]


def test_what_boots_a_kept_disk_again_has_its_volumes():
    words = again(spec(*data_disks(MANIFEST)), Path("/kept"))
    assert "file=/kept/vol-00000000000000001.qcow2" in words
    assert words.index("data-vol00000000000000001") < words.index("drive=root")


def test_an_image_alone_has_blank_volumes_of_its_recipes_size():
    assert data_disks(MANIFEST) == (DataDisk("sdf", "vol-00000000000000001", 3 << 30),)
    assert data_disks({}) == ()


def test_a_test_clone_is_launched_with_them():
    ebs = {"VolumeSize": 3, "VolumeType": "gp3", "Encrypted": True, "DeleteOnTermination": True}
    assert data_mappings(MANIFEST) == ({"DeviceName": "/dev/sdf", "Ebs": ebs},)
    assert data_mappings({}) == ()


def test_disks_of_an_instance_store_say_that_they_are_and_may_be_several():
    stores = [DataDisk("instance-store", f"AWS-0a-{number}", 1 << 30, ephemeral=True) for number in (0, 1)]
    words = command(spec(*stores), accelerator="tcg", monitor=3)
    assert "type=11,value=ingot-disk:AWS0a0=instance-store" in words
    assert "type=11,value=ingot-disk:AWS0a1=instance-store" in words
    assert len({word for word in words if word.startswith("nvme,serial=AWS")}) == 2
