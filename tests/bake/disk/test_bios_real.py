"""SeaBIOS starts the loader, the loader starts Linux of the shipped web image, and Linux mounts its root."""

from __future__ import annotations

import os
import re
import subprocess
import time

import pytest

from ingot.bake.disk import bios, gpt
from ingot.bake.disk.fat import BootFile, write_esp
from ingot.bake.disk.image import DiskLayout
from ingot.machines.accelerator import choose_accelerator
from ingot.machines.qemu import EMULATED_CPU
from ingot.process import run
from tests.baked import baked_store, web_image

__all__ = ["baked_store", "web_image"]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="bakes as root")]
LIMIT = 600  # seconds; on an idle processor it takes 15


def booting_by_bios(image, directory):
    """Return a copy of the image's disk with what a BIOS takes: all else of a disk that boots by both ways is
    the same.
    """
    disk = directory / "disk.raw"
    run(["cp", "--sparse=always", image.disk, disk])
    with disk.open("r+b") as file:
        boot = gpt.read_table(file.read(17 * 1024))[0]
        run(["mcopy", "-i", f"{disk}@@{boot.start}", "::/EFI/BOOT/BOOTX64.EFI", directory / "uki"])
        kernel_image = (directory / "uki").read_bytes()
        layout = DiskLayout(boot.start + boot.size)
        at = write_esp(
            layout, (boot.start, boot.size), BootFile("BOOTX64.EFI", kernel_image), volume_id=0, epoch=0
        )
        code = bios.boot_code(kernel_image, at)
        file.seek(0)
        file.write(code.first_sector)
        file.seek(bios.START)
        file.write(code.area)
    return disk


def test_a_bios_boots_the_web_image(web_image, tmp_path):
    disk = booting_by_bios(web_image, tmp_path)
    accelerator = choose_accelerator(tmp_path / "accelerator")
    cpu = EMULATED_CPU if accelerator == "tcg" else "max"
    console = tmp_path / "console.log"
    command = [
        "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-M", "q35",
        "-accel", accelerator, "-cpu", cpu, "-smp", "2", "-m", "512",
        "-drive", f"if=none,id=root,format=raw,file={disk},snapshot=on",
        "-device", "virtio-blk-pci,drive=root,bootindex=0", "-serial", f"file:{console}",
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
    assert found[1] == "vda2"
