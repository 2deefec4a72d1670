"""A root directory in which programs run apart from this machine (:mod:`ingot.bake.runtime.sandbox`).

Its mounts are in the mount namespace of the calling process, which the engine makes private
(:mod:`ingot.bake.worker`): when that process ends, however it ends, the kernel removes every mount.
"""

from __future__ import annotations

import io
import os
import select
import time
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from ingot.bake.runtime import mounts
from ingot.bake.runtime.kernel import PROGRAMS, place_uname
from ingot.bake.runtime.sandbox import Child, Program, SpawnError, spawner
from ingot.bake.tree.links import resolve_links
from ingot.errors import BakeError

# What a program in the root sees of the builder's environment: nothing. Everything that could make two bakes
# differ is fixed.
ENVIRONMENT: Dict[str, str] = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "TERM": "dumb",
    "DEBIAN_FRONTEND": "noninteractive",
    "DEBCONF_NONINTERACTIVE_SEEN": "true",
    "INITRD": (
        "No"
    ),  # Debian's kernel hooks: no initramfs, the engine writes its own (initramfs-tools' hook reads it)
    "SYSTEMD_OFFLINE": "1",  # systemctl works on files, it looks for no service manager
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
}
HOSTNAME = "ingot-bake"
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
# Runs as the first process of the new namespaces, and names on what was its stdin what the command left
# running: the kernel ends that with it.
# The host name comes from the worker: /proc/sys/kernel/hostname cannot be written in a user namespace. The
# shell's builtins alone, so that nothing of its own is among what is left.
ENTRY = """
exec 3>&0 </dev/null
umask 022
"$@" 3>&-
status=$? count=0
for process in /proc/[0-9]*; do
    [ "$process" = /proc/1 ] && continue
    name= state=
    while read -r key value rest; do
        case $key in Name:) name=$value ;; State:) state=$value; break ;; esac
    done 2>/dev/null <"$process/status"
    case $state in Z|X|"") ;; *) echo "$name" >&3; count=$((count + 1)) ;; esac
    [ $count = 20 ] && break
done
exit $status
"""
# Seconds. No package's scripts take as long; one that waits for something that cannot come must not hold the
# bake for ever.
LONGEST = 3600.0
# Bytes that are kept of what a program prints.
MOST_OUTPUT = 4 << 20


class Chroot:
    """A root directory that is ready to run programs in. ``epoch``: Unix seconds, the time that files get.

    ``online``: the calling process has a network, which the programs must not have: each gets a network
    namespace of its own, which takes the kernel longer than all else that a short program needs. A process
    without a network shares its own. ``kernel``: what ``uname -r`` says to the programs; None: what the
    machine's kernel says.
    """

    def __init__(self, root: Path, *, epoch: int, online: bool = False, kernel: Optional[str] = None) -> None:
        self.root = root
        self.online = online
        self.kernel = kernel
        self.environment = {**ENVIRONMENT, "SOURCE_DATE_EPOCH": str(epoch)}
        if kernel is not None:
            self.environment["PATH"] = f"/run/{PROGRAMS}:{ENVIRONMENT['PATH']}"
        # The names of the processes that the last command left running; they ended with it.
        self.left: List[str] = []

    def mount(self) -> None:
        """Mount /dev, /run and /tmp: what is written there is no part of the image."""
        for name in ("dev", "run", "tmp", "proc"):
            if (self.root / name).is_symlink():
                raise BakeError(f"/{name} is a link in the image", hint="it must be a directory there")
            (self.root / name).mkdir(exist_ok=True)
        self._tmpfs("dev", "mode=755")
        self._tmpfs("run", "mode=755")
        self._tmpfs("tmp", "mode=1777")
        devices = self.root / "dev"
        for name in DEVICES:
            (devices / name).touch()
            mounts.bind(Path("/dev") / name, devices / name)
            # The device itself can be written as before; the owner and mode of the machine's own node cannot
            # be changed.
            mounts.make_read_only(devices / name)
        for name, target in (
            ("fd", "/proc/self/fd"),
            ("stdin", "fd/0"),
            ("stdout", "fd/1"),
            ("stderr", "fd/2"),
        ):
            (devices / name).symlink_to(target)
        (devices / "shm").mkdir(mode=0o1777)
        # Some maintainer scripts ask for the directory of locks.
        (self.root / "run" / "lock").mkdir(mode=0o1777)
        # Where systemd-resolved's /etc/resolv.conf leads to. No name server is in it, but without the file
        # postfix's script makes up a name for the machine that postfix refuses.
        resolver = self.root / "run" / "systemd" / "resolve"
        resolver.mkdir(parents=True)
        (resolver / "stub-resolv.conf").touch()
        if self.kernel is not None:
            place_uname(self.root / "run", self.kernel)

    def unmount(self) -> None:
        """Take the mounts away again, so that the tree can be read and renamed."""
        for name in ("dev", "run", "tmp"):
            mounts.unmount(self.root / name)

    def _tmpfs(self, name: str, options: str) -> None:
        mounts.mount("tmpfs", self.root / name, options, nosuid=True)

    def run(
        self,
        command: Sequence[str],
        *,
        env: Optional[Mapping[str, str]] = None,
        timeout: float = LONGEST,
        what: str,
    ) -> str:
        """Run ``command`` in the root and return what it printed, stdout and stderr as they came.

        ``what`` names the command in errors. All processes that it leaves behind end with it, and are named
        in :attr:`left`. Raises BakeError (:class:`CommandFailedError`) for an exit status other than 0 and
        after ``timeout`` seconds.
        """
        words = ["/bin/sh", "-c", ENTRY, "sh", *command]
        program = Program(self.root, words, {**self.environment, **(env or {})}, online=self.online)
        names, remaining = os.pipe()
        output, written = os.pipe()
        with os.fdopen(names, encoding="utf-8", errors="replace") as left, os.fdopen(output, "rb", 0) as file:
            try:
                child = spawner().run(program, written, remaining)
            finally:
                os.close(written)
                os.close(remaining)
            with child:  # whatever happens meanwhile, it has ended afterwards
                text, ended = _read(file, timeout)
                if not ended:
                    child.kill()
                    _read(file, LONGEST)
                    raise CommandFailedError(what, f"no end after {timeout:g} seconds", text)
                status = _wait(child, what)
            self.left = left.read().split("\n")[:-1]
        if status != 0:
            raise CommandFailedError(what, _status(status), text)
        return text


def _read(file: "io.FileIO", timeout: float) -> Tuple[str, bool]:
    """Return what a program printed, the end of it where that is much, and whether it
    ended within ``timeout`` seconds.
    """
    end = time.monotonic() + timeout
    output = bytearray()
    while True:
        ready, _, _ = select.select([file], [], [], max(0.0, end - time.monotonic()))
        piece = file.read(1 << 16) if ready else b""
        output += piece or b""
        if len(output) > 2 * MOST_OUTPUT:
            del output[:-MOST_OUTPUT]
        if not piece:
            text = output.decode("utf-8", errors="replace")
            return text.replace("\r\n", "\n").replace("\r", "\n"), bool(ready)


def _wait(child: Child, what: str) -> int:
    try:
        return int(child.result()["status"])
    except SpawnError as error:
        raise BakeError(f"{what}: it cannot be started: {error}") from error


class CommandFailedError(BakeError):
    """A program in the root failed. ``reason``: how it ended; ``output``: what it printed, whole."""

    def __init__(self, what: str, reason: str, output: str) -> None:
        end = "\n".join("    " + line for line in output.strip().splitlines()[-20:])
        super().__init__(f"{what}: {reason}" + (f"\n{end}" if end else ""))
        self.reason = reason
        self.output = output


def _status(code: int) -> str:
    # A shell reports a command that signal N killed as status 128 + N; unshare passes it on.
    return f"exit status {code}" if code >= 0 else f"signal {-code}"


def in_root(root: Path, path: str, *, follow: bool = False) -> Path:
    """Return where absolute ``path`` of the image is below ``root``, following symbolic
    links inside the root.

    The last component is followed only with ``follow``. A link such as ``/var/run -> /run`` must lead to the
    image's /run, never to the builder's (:func:`ingot.bake.tree.links.resolve_links`). Raises BakeError for a
    loop of links.
    """

    def target_of(path: str) -> Optional[str]:
        try:
            # The text as it is, not as pathlib normalizes it.
            return os.readlink(f"{root}{path}")  # noqa: PTH115
        except OSError:  # no link, or nothing there
            return None

    return Path(f"{root}{resolve_links(path, target_of, follow_last=follow)}")


def inside(root: Path, place: Path) -> str:
    """Return the absolute path in the image of ``place``, which lies below ``root``."""
    return f"/{place.relative_to(root)}"
