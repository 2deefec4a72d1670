"""A copy of an image's disk that answers on its second serial port. The image itself stays as it is.

debugfs writes into the copy's file system, so neither root nor a mount is needed. What it adds: a systemd
unit and the program that the unit runs. A machine boots the copy as it would boot the image.
"""

from __future__ import annotations

import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ingot.bake.disk.ext4.reader import Ext4Reader
from ingot.errors import IngotError
from ingot.process import require, run

PROGRAM = "/usr/lib/ingot-inspection"
UNIT = "/etc/systemd/system/ingot-inspection.service"
# The port that ingot.machines.qemu.CHANNEL is in the guest.
PORT = "ttyS1"
MARK = "\x1e"  # no program prints a record separator, and none knows the token that follows it
_WANTED = "/etc/systemd/system/sysinit.target.wants"
# Started early: a boot that hangs is what one wants to look into. It fails no boot: a machine without the
# port ends it in peace.
_UNIT_TEXT = f"""\
[Unit]
Description=Answers `ingot shell` and `ingot boot` on {PORT}; only this copy of the image has it
DefaultDependencies=no
After=systemd-remount-fs.service local-fs.target systemd-tmpfiles-setup.service
Conflicts=shutdown.target
Before=shutdown.target
ConditionPathExists=/dev/{PORT}

[Service]
ExecStart=/bin/sh {PROGRAM}
Environment=HOME=/root
WorkingDirectory=-/root
StandardInput=tty
StandardOutput=tty
StandardError=tty
TTYPath=/dev/{PORT}
TTYReset=yes
Restart=on-failure
RestartSec=1
"""
# Each line is a name for a command and the command in base64; the name comes back with its status. In the
# terminal's raw mode a line may be longer than 4,096 bytes, and
# what comes out is what was printed (termios(3)).
PROGRAM_TEXT = """\
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
stty raw -echo
while read -r name code; do
    ( eval "$(printf %s "$code" | base64 -d)" )
    status=$?
    stty raw -echo
    printf '\\036TOKEN %s %d\\n' "$name" "$status"
done
exit 0
"""


@dataclass(frozen=True)
class InspectedDisk:
    """A disk that answers. ``token`` tells its answers from what its programs print."""

    disk: Path
    token: str


def copy_disk(disk: Path, target: Path) -> InspectedDisk:
    """Copy a raw disk to ``target``, a file that is not there yet, and let the copy answer.

    Holes stay holes; on a file system that can, the two share their bytes. Raises MissingToolError without
    e2fsprogs, IngotError when the copy's file system cannot be written.
    """
    debugfs = require("debugfs", needed_for="look inside a copy of an image")
    token = secrets.token_hex(8)
    files = {UNIT: _UNIT_TEXT, PROGRAM: PROGRAM_TEXT.replace("TOKEN", token)}
    run(["cp", "--reflink=auto", "--sparse=always", disk, target])
    target.chmod(0o600)
    with Ext4Reader(target) as reader:
        start = reader.start
    with tempfile.TemporaryDirectory() as work:
        commands = ["mkdir /etc/systemd/system", f"mkdir {_WANTED}"]  # most images have them
        for number, (path, text) in enumerate(files.items()):
            file = Path(work, str(number))
            file.write_text(text, encoding="utf-8")
            commands += [f"write {number} {path}", f"sif {path} mode 0100644"]
            commands += [f"sif {path} uid 0", f"sif {path} gid 0"]
        commands.append(f"symlink {_WANTED}/{Path(UNIT).name} {UNIT}")
        said = run(
            [debugfs, "-w", "-f", "-", f"{target}?offset={start}"],
            input="\n".join(commands) + "\n",
            cwd=Path(work),
        )
    _check(target, files, said.stderr)
    return InspectedDisk(target, token)


def _check(disk: Path, files: dict[str, str], said: str) -> None:
    """Read back what was written: debugfs ends with 0 whatever failed."""
    with Ext4Reader(disk) as reader:
        for path, text in files.items():
            if reader.read(path) != text.encode():
                raise IngotError(f"{path} cannot be written to a copy of the image: {said.strip()}")
