"""Whether this machine can run the programs of another architecture: a bake runs the packages' own scripts."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Optional

from ingot.errors import MissingRightError

# A recipe's names of architectures, and the kernel's (uname(2)).
MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}
BINFMT = Path("/proc/sys/fs/binfmt_misc")


def check_architecture(architecture: str, *, machine: Optional[str] = None, binfmt: Path = BINFMT) -> None:
    """Raise MissingRightError when a bake for ``architecture`` cannot run on this ``machine``.

    The kernel runs foreign programs where binfmt_misc names an interpreter with the flag F, which it opens outside of the image
    (kernel: Documentation/admin-guide/binfmt-misc.rst).
    """
    wanted, here = MACHINES[architecture], machine or platform.machine()
    if wanted == here or _has_interpreter(wanted, binfmt):
        return
    raise MissingRightError(
        f"a bake for {architecture} runs programs of {architecture}, which this machine ({here}) cannot",
        hint=f"bake on a machine of that architecture, or let this kernel run its programs by QEMU:\n"
        f"    sudo apt-get install qemu-user-static binfmt-support   (makes {BINFMT}/qemu-{wanted})",
    )


def _has_interpreter(machine: str, binfmt: Path) -> bool:
    for file in sorted(binfmt.glob("*")) if binfmt.is_dir() else ():
        if file.name in ("register", "status") or not file.is_file():
            continue
        words = dict(line.partition(" ")[::2] for line in file.read_text().splitlines())
        fixed = "F" in words.get("flags:", "")
        if "enabled" in words and fixed and machine in words.get("interpreter", ""):
            return True
    return False
