"""Which kernel the programs of an image are told of: its own, not the one of the machine that bakes.

Scripts of packages and steps ask ``uname -r`` which kernel to build for (dkms, initramfs-tools). The running
kernel would answer with its own version: the image does not run on it, and bakes on two machines would
differ. So another ``uname`` comes first in the path while the image is baked. It is in /run, which is not
part of the image. Programs that call uname(2) themselves still see the running kernel.

Standard library only, Python 3.9.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Optional

from ingot.spec import BakeSpec

# Below /run. The first directory of the path.
PROGRAMS = "ingot/bin"
_KERNEL = re.compile(r"linux-image-(?:unsigned-)?([0-9][a-z0-9.+-]*)(?<!-dbg)")
# Replaces what is the builder's in what the real program says: its release, and the version of its build.
_UNAME = """#!/bin/sh
said=$(/bin/uname "$@") || exit
for option in -r -v; do
    host=$(/bin/uname $option)
    case $option in -r) own=@RELEASE@ ;; *) own='#1 SMP' ;; esac
    case $said in *"$host"*) said=${said%%"$host"*}$own${said#*"$host"} ;; esac
done
printf '%s\\n' "$said"
"""


def kernel_release(spec: BakeSpec) -> Optional[str]:
    """Return what ``uname -r`` says on clones of an image, from the name of its kernel's package.

    None when it has none, or more than one.
    """
    names = [package.name for package in spec.packages if package.role == "install"]
    found = {match[1] for name in names if (match := _KERNEL.fullmatch(name))}
    return found.pop() if len(found) == 1 else None


def place_uname(run: Path, release: str) -> None:
    """Write the program below ``run``, the image's /run."""
    directory = run / PROGRAMS
    directory.mkdir(parents=True)
    file = directory / "uname"
    file.write_text(_UNAME.replace("@RELEASE@", release))
    file.chmod(0o755)
