"""An image for arm64 like one for x86_64: baked by emulated programs, booted on an emulated machine."""

import os
import time

import pytest

from ingot.aws.instances.console import INVENTORY, PANIC, TEST, last_line, tail
from ingot.bake.disk import read_ext4
from ingot.machines.alone import Hardware, booted_alone
from tests.bake.test_distributions import baked
from tests.baked import baked_store

__all__ = ["baked_store"]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="looks into root's files")]
LIMIT = 600  # seconds; on an idle processor it takes 40
MORE = """\
architecture: arm64
tests:
  - {name: the machine is arm64, command: "test $(uname -m) = aarch64"}
  - {name: the boot has finished, command: systemctl is-system-running}
"""


def test_an_image_for_arm64_is_baked_boots_and_equals_its_manifest(baked_store, tmp_path):
    image, lock = baked("debian: bookworm", baked_store, tmp_path, MORE)
    assert {package.architecture for package in lock.packages} <= {"arm64", "all", "amd64"}
    assert image.manifest["architecture"] == "arm64"
    assert image.manifest["os"]["kernel"].endswith("-cloud-arm64")
    with read_ext4(image.disk) as reader:
        assert reader.read("/usr/bin/dash")[18:20] == b"\xb7\0", "an ELF file for AArch64: elf(5), e_machine"
    hardware = Hardware("arm64", cpus=1)
    with booted_alone(
        image.disk, tmp_path, user_data={"ingot": {"test": True}}, hardware=hardware
    ) as machine:
        end, text = time.monotonic() + LIMIT, ""
        while not machine.wait(0.5) and time.monotonic() < end and PANIC not in text:
            text = machine.console()[0].decode(errors="replace")
            tests, inventory = last_line(text, TEST), last_line(text, INVENTORY)
            if tests is not None and inventory is not None:
                break
        else:
            pytest.fail(f"no results, or no inventory; the end of its console:\n{tail(text)}")
    assert [(result["name"], result["ok"]) for result in tests["results"]] == [
        ("the machine is arm64", True),
        ("the boot has finished", True),
    ], tail(text)
    assert inventory["differs"] == []
    assert inventory["sections"] == image.manifest["inventory"]
