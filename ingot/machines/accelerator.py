"""Whether KVM runs guests here. That /dev/kvm opens is not enough: a guest has to get somewhere."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from ingot.errors import InputError
from ingot.files import write_atomically
from ingot.process import CommandError, require, run

# A boot sector (16-bit): fwait; fninit; mov al, 0x10; out 0xf4, al; hlt; and the signature in its last two
# bytes. QEMU's isa-debug-exit device at port 0xf4 ends QEMU with the status (value << 1) | 1. The first two
# are what UEFI firmware begins with, and what a KVM that has to emulate every instruction (itself in a
# virtual machine, say) stumbles over.
BOOT_SECTOR = bytes([0x9B, 0xDB, 0xE3, 0xB0, 0x10, 0xE6, 0xF4, 0xF4]).ljust(510, b"\0") + b"\x55\xaa"
DISK_SIZE = 1 << 20  # bytes; firmware takes no disk that is smaller than a cylinder
REACHED = (0x10 << 1) | 1
PROBE_SECONDS = 10.0  # KVM takes a fraction of a second
VARIABLE = "INGOT_ACCELERATOR"
ACCELERATORS = ("kvm", "tcg")


def choose_accelerator(memory: Path, architecture: str = "x86_64") -> str:
    """Return ``kvm`` or ``tcg``: the one that INGOT_ACCELERATOR names; without it, KVM is tried. The verdict
    of that is kept in the file ``memory`` until the machine boots again.

    The guest that is tried is of x86_64: machines of another architecture are emulated. Raises InputError
    when INGOT_ACCELERATOR names neither.
    """
    if architecture != "x86_64":
        return "tcg"
    if named := os.environ.get(VARIABLE):
        if named not in ACCELERATORS:
            raise InputError(
                f"{VARIABLE} is {named!r}", hint="set it to kvm or tcg, or unset it: then KVM is tried"
            )
        return named
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    try:
        known = json.loads(memory.read_text())
        if known["boot_id"] == boot_id and known["accelerator"] in ACCELERATORS:
            return str(known["accelerator"])
    except (OSError, ValueError, KeyError):
        known = None  # none yet, or not readable: ask the machine
    verdict = "kvm" if kvm_runs_guests() else "tcg"
    write_atomically(memory, json.dumps({"boot_id": boot_id, "accelerator": verdict}) + "\n")
    return verdict


def kvm_runs_guests(device: Path = Path("/dev/kvm")) -> bool:
    """Tell whether a guest of one sector gets to its end with KVM."""
    return os.access(device, os.R_OK | os.W_OK) and runs_guests("kvm")


def runs_guests(accelerator: str) -> bool:
    """Boot a guest of one sector with the accelerator and see whether it gets to say so."""
    qemu = require("qemu-system-x86_64", needed_for="run machines")
    with tempfile.NamedTemporaryFile(suffix=".img") as image:
        image.write(BOOT_SECTOR.ljust(DISK_SIZE, b"\0"))
        image.flush()
        words = [
            qemu,
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-M",
            "q35",
            "-accel",
            accelerator,
            "-cpu",
            "max",
        ]
        words += ["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-m", "64"]
        words += ["-drive", f"format=raw,file={image.name}"]
        try:
            done = run(words, timeout=PROBE_SECONDS, check=False)
        except CommandError:  # it hangs
            return False
    return done.returncode == REACHED
