"""What an image gets for the disks that its recipe declares: units, a declaration, and nothing else."""

from pathlib import Path
from typing import Any, cast

import pytest

from ingot.bake.image.machine import set_volatile
from ingot.bake.image.storage import set_storage
from ingot.bake.runtime.chroot import Chroot
from ingot.errors import BakeError
from ingot.spec import ScratchSpec, StorageSpec, VolumeSpec
from tests.specs import bake_spec

DATA = VolumeSpec("data", "/dev/sdf", "/srv/data", 1 << 30, owner="app", services=("app", "b@1.service"))
UNITS = "usr/lib/systemd/system"


class Image:
    """A root with the tools of ext4, whose systemctl only notes what it is asked for."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.enabled: list[str] = []
        (root / "usr/sbin").mkdir(parents=True)
        for tool in ("mkfs.ext4", "e2fsck", "resize2fs"):
            (root / "usr/sbin" / tool).touch()

    def run(self, words: list[str], **_: object) -> None:
        assert words[:2] == ["systemctl", "enable"]
        self.enabled += words[2:]

    def set(self, storage: Any) -> None:
        set_storage(cast(Chroot, self), bake_spec(storage=storage))


@pytest.fixture
def image(tmp_path):
    return Image(tmp_path)


def test_services_wait_for_their_volume_and_start_when_it_comes(image):
    image.set(StorageSpec((DATA,)))
    assert image.enabled == [
        "ingot-volume-grow.timer", "ingot-volume@data.service", "ingot-volume@data.timer",
    ]  # fmt: skip
    for service in ("app.service", "b@1.service"):
        text = (image.root / f"{UNITS}/{service}.d/ingot-volume-data.conf").read_text()
        assert text == (
            "[Unit]\nRequires=ingot-volume@data.service\nAfter=ingot-volume@data.service\n"
            "RequiresMountsFor=/srv/data\n"
        )
    wanted = (image.root / f"{UNITS}/ingot-volume@data.service.d/services.conf").read_text()
    assert wanted == "[Unit]\nWants=app.service b@1.service\n"
    declared = (image.root / "usr/lib/ingot/storage.list").read_text()
    assert declared == "volume\tdata\t/dev/sdf\t/srv/data\text4\tapp\t\t\n"
    assert (image.root / "srv/data").is_dir()
    assert not (image.root / f"{UNITS}/ingot-swap.service").exists()


def test_scratch_and_swap(image):
    image.set(StorageSpec(scratch=ScratchSpec("/srv/tmp", mode="1777", services=("app",)), swap=1 << 20))
    assert image.enabled == ["ingot-scratch.service", "ingot-swap.service"]
    declared = (image.root / "usr/lib/ingot/storage.list").read_text()
    assert declared == "scratch\tscratch\t\t/srv/tmp\text4\t\t\t1777\nswap\t1048576\n"
    assert (image.root / f"{UNITS}/app.service.d/ingot-scratch.conf").is_file()
    assert not list(image.root.glob(f"{UNITS}/ingot-volume*"))


def test_an_image_without_any_is_as_before(image):
    image.set(None)
    assert not image.enabled
    assert not (image.root / "usr/lib").exists()


def test_an_image_without_the_tools_of_a_file_system_is_refused(image):
    with pytest.raises(BakeError, match=r"the image has no mkfs\.xfs") as refusal:
        image.set(StorageSpec((DATA._replace(filesystem="xfs"),)))
    assert refusal.value.hint == "add xfsprogs to the recipe's packages"


def test_what_is_on_a_volume_is_no_part_of_the_image(tmp_path):
    spec = bake_spec(storage=StorageSpec((DATA,), ScratchSpec("/opt/scratch")))
    volatile = set_volatile(tmp_path, spec)
    assert volatile.covers("/srv/data/base/1")
    assert volatile.covers("/opt/scratch")
    assert not volatile.covers("/srv/web")
