"""The peers' programs: installed when they are missing, as tools/setup does it for Ingot's own."""

from __future__ import annotations

import os
import shutil

from ingot.process import run

# program -> Debian package; the second line is what mkosi calls, or what is asked on its behalf
PEERS = {
    "mmdebstrap": "mmdebstrap",
    "mkosi": "mkosi",
    "debootstrap": "debootstrap",
    "systemd-nspawn": "systemd-container",
    "sfdisk": "fdisk",
    "mkfs.vfat": "dosfstools",
    "modprobe": "kmod",
}


def install_peers() -> None:
    """Install what is missing of the peers' programs. Raises CommandError."""
    missing = sorted({package for program, package in PEERS.items() if shutil.which(program) is None})
    if missing:
        root = [] if os.geteuid() == 0 else ["sudo"]
        run([*root, "apt-get", "update", "-qq"], check=False)
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
        run([*root, "env", "DEBIAN_FRONTEND=noninteractive", *install])


def version(program: str) -> str:
    """Return what a program says of its version, one line."""
    done = run([program, "--version"], check=False)
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0] if lines else program
