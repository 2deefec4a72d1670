"""A shell in the files of an image, without booting it: nothing runs there but the shell.

The files are copied out of the disk. The programs that run in them are held as those of a bake
(:mod:`ingot.bake.runtime.sandbox`): they see no file, process or network of this machine. This module is
also the program that runs with mounts of its own.
"""

from __future__ import annotations

import json
import os
import pty
import secrets
import select
import socket
import sys
import termios
from pathlib import Path

from ingot.bake.disk.ext4.reader import Ext4Reader
from ingot.bake.runtime.chroot import HOSTNAME, Chroot
from ingot.bake.runtime.rights import check_rights, own_mounts, remove_tree
from ingot.bake.runtime.sandbox import Program, SpawnError, spawner
from ingot.bake.tree.tree import Kind
from ingot.errors import IngotError
from ingot.pipeline.inspection import machines
from ingot.pipeline.inspection.terminal import raw, shell_script
from ingot.process import require, run, run_attached
from ingot.progress import Progress, settle
from ingot.store import Image, Store

MODULE = "ingot.pipeline.inspection.tree"
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "TERM": "dumb",
    "SYSTEMD_OFFLINE": "1",  # systemctl works on files: no service manager runs
}
# setsid(1) makes its standard input the controlling terminal; util-linux is essential in Debian.
_SHELL = ("setsid", "--ctty", "--wait", "/bin/sh", "-c")


def enter(image: Image, script: str | None, progress: Progress) -> int:
    """Copy the image's files out, run a script in them, or for None a login shell, and remove them again;
    return the exit status.

    Raises MissingToolError without e2fsprogs, MissingRightError where a bake could not run either.
    """
    require("debugfs", needed_for="look inside an image")
    check_rights()
    directory = machines.directory() / "trees" / f"{image.digest[:12]}-{secrets.token_hex(4)}"
    directory.mkdir(mode=0o700, parents=True)
    order = json.dumps({"disk": str(image.disk), "root": str(directory / "root"), "script": script})
    try:
        with Store().using(image):
            progress(f"copying the files of {image.name} {image.digest[:12]}")
            settle(progress)
            return run_attached([*own_mounts(), "--uts", sys.executable, "-m", MODULE, order])
    finally:
        remove_tree(directory)


def _inner(disk: Path, root: Path, script: str | None) -> int:
    """Do the same with mounts of its own, as root of a namespace or of the machine."""
    spawner()  # while there is one thread
    socket.sethostname(HOSTNAME)
    with Ext4Reader(disk) as reader:
        start, entries = reader.start, reader.entries(hashes=False)
    root.mkdir(mode=0o755)
    debugfs = require("debugfs", needed_for="look inside an image")
    names = sorted({entry.path.split("/")[1] for entry in entries if entry.path != "/"} - {"lost+found"})
    commands = "".join(f'rdump "/{name}" {root.name}\n' for name in names)
    said = run([debugfs, "-f", "-", f"{disk}?offset={start}"], input=commands, cwd=root.parent)
    for entry in entries:
        # debugfs sets the owner after the mode, which clears these two bits.
        if entry.kind is not Kind.SYMLINK and entry.mode & 0o6000:
            (root / entry.path[1:]).chmod(entry.mode)
    if not (root / "etc").is_dir():
        raise IngotError(f"the files of {disk} cannot be copied out: {said.stderr.strip()}")
    Chroot(root, epoch=0).mount()
    return _run(root, script)


def _run(root: Path, script: str | None) -> int:
    """Run a script, or a login shell on the caller's terminal, as the first process of the image's own."""
    if script is not None:
        return _status(root, ["/bin/sh", "-c", f"exec </dev/null\n{script}"], 1)
    main, terminal = pty.openpty()
    termios.tcsetattr(terminal, termios.TCSANOW, termios.tcgetattr(0))
    words = ["/usr/bin/env", *_SHELL, shell_script(os.environ.get("TERM", ""), os.get_terminal_size(0))]
    with raw(0):
        return _status(root, words, terminal, main)


def _status(root: Path, words: list[str], output: int, relayed: int | None = None) -> int:
    """Run words with ``output`` as standard input and output; return their exit status.

    ``relayed``: the other end of a terminal, which the caller's is connected to meanwhile.
    """
    program = Program(root, words, _ENVIRONMENT, online=True)
    with spawner().run(program, output, output) as child:
        if relayed is not None:
            os.close(output)  # when the shell and what it started have ended, nobody has it open
            _relay(relayed)
        try:
            return int(child.result()["status"])
        except SpawnError as error:
            raise IngotError(f"the shell cannot be started: {error}") from error


def _relay(main: int) -> None:
    """Pass on what is typed and what is printed, until the shell has ended."""
    while True:
        ready, _, _ = select.select([0, main], [], [])
        if main in ready:
            try:
                said = os.read(main, 1 << 16)
            except OSError:  # EIO: nobody has the other end open (pty(7))
                return
            os.write(1, said)
        if 0 in ready:
            typed = os.read(0, 1024)
            if not typed:
                return
            os.write(main, typed)


if __name__ == "__main__":
    ordered = json.loads(sys.argv[1])
    try:
        status = _inner(Path(ordered["disk"]), Path(ordered["root"]), ordered["script"])
    except IngotError as error:
        sys.exit(str(error))
    sys.exit(status if status >= 0 else 128 - status)
