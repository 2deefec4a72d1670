"""A machine with two volumes of one recipe, as when a clone's disk is looked at on another clone: the root is
that of the disk that was booted, whatever its number.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time

import pytest

from ingot.machines.accelerator import choose_accelerator
from ingot.machines.qemu import EMULATED_CPU, firmware
from tests.baked import baked_store, web_image

__all__ = ["baked_store", "web_image"]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="bakes as root")]
LIMIT = 600  # seconds; on an idle processor it takes 15


def mounted_root(disk, directory, *, booted, count):
    """Start a machine with ``count`` disks of the same content, the firmware told to boot the one numbered
    ``booted``; return the name of the partition that the kernel mounts first, and the console.
    """
    code, variables = firmware()
    shutil.copy(variables, directory / "vars.fd")
    accelerator = choose_accelerator(directory / "accelerator")
    cpu = EMULATED_CPU if accelerator == "tcg" else "max"
    disks = []
    for number in range(count):
        disks += ["-drive", f"if=none,id=d{number},format=raw,file={disk},snapshot=on"]
        first = ",bootindex=0" if number == booted else ""
        disks += ["-device", f"nvme,serial=vol{number},drive=d{number},addr={number + 4:x}{first}"]
    console = directory / "console.log"
    command = [
        "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-M", "q35",
        "-accel", accelerator, "-cpu", cpu, "-smp", "1,maxcpus=2", "-m", "512",
        "-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={code}",
        "-drive", f"if=pflash,format=raw,unit=1,file={directory / 'vars.fd'}",
        *disks, "-serial", f"file:{console}",
    ]  # fmt: skip
    machine = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        end, text, found = time.monotonic() + LIMIT, "", None
        while found is None and time.monotonic() < end and machine.poll() is None:
            time.sleep(0.2)
            text = console.read_text(errors="replace") if console.exists() else ""
            found = re.search(r"EXT4-fs \((\w+)\): mounted filesystem", text)
    finally:
        machine.kill()
        machine.wait()
    assert found, f"no root was mounted; the end of the console:\n{text[-3000:]}"
    return found[1], text


@pytest.mark.parametrize(("booted", "count"), [(0, 2), (9, 10)])
def test_the_root_is_on_the_disk_that_was_booted(booted, count, web_image, tmp_path):
    root, console = mounted_root(web_image.disk, tmp_path, booted=booted, count=count)
    assert root == f"nvme{booted}n1p2"
    assert "has no root; taking" not in console
