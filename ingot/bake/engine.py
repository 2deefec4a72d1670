"""The engine: executes a bake spec.

The work is done by a process with its own mounts (:mod:`ingot.bake.worker`).
"""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Type

import ingot
from ingot import errors
from ingot.bake.job import BakeJob
from ingot.bake.runtime.rights import check_rights, own_mounts
from ingot.errors import BakeError, IngotError, MissingRightError
from ingot.process import require, start
from ingot.progress import Progress

# A recipe's names of architectures, and the kernel's (uname(2)).
MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}
Fetch = Callable[[str, Optional[str]], None]
BINFMT = Path("/proc/sys/fs/binfmt_misc")


def read_manifest(output: Path) -> Dict[str, Any]:
    """Return the manifest of the bake that ended in ``output``."""
    manifest: Dict[str, Any] = json.loads((output / "manifest.json").read_text(encoding="utf-8"))
    return manifest


def bake(
    job: BakeJob,
    *,
    progress: Progress,
    hold: Sequence[int] = (),
    fetch: Fetch = lambda _what, _stage: None,
    worker: Optional["Worker"] = None,
) -> None:
    """Bake; the job's ``output`` then holds disk.raw and manifest.json (:func:`read_manifest`).

    ``fetch`` downloads the ``packages``, or the other ``downloads``, when they are needed, those of the job's
    spec or of the stage that is named. ``hold``:
    descriptors of locks (:mod:`ingot.locks`) that stay held until the worker has ended, even if this process
    is killed. ``worker``: one that was started before; its owner ends it. After a failure ``output`` holds
    nothing of the bake, unless the job says ``keep``: then ``output/root`` is the tree as the failure left
    it. Raises BakeError, StepError, MissingToolError, MissingRightError.
    """
    require("dpkg-deb", needed_for="bake")
    if os.geteuid() != 0:
        check_rights()  # beforehand: some machines let the worker hang instead of fail
    check_architecture(job.spec.architecture)
    output = job.directories.output
    for directory in (output, job.directories.layers):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        if worker is not None:
            worker.run(job, hold, progress, fetch)
        else:
            with Worker() as own:
                own.run(job, hold, progress, fetch)
    except BaseException:
        for name in ("disk.raw", "manifest.json"):
            (output / name).unlink(missing_ok=True)
        raise


def command() -> List[str]:
    """Return the command that runs the worker in namespaces of its own."""
    # The worker is the first process of its own namespace: however it ends, everything that it started ends
    # with it. It needs no network, and what it runs in the image gets none.
    spaces = ["--uts", "--net", "--pid", "--fork", "--kill-child=SIGKILL"]
    # -S: it needs only the standard library, and starts faster without the site packages.
    return [*own_mounts(), *spaces, sys.executable, "-S", "-m", "ingot.bake.worker"]


def check_architecture(architecture: str, *, machine: Optional[str] = None, binfmt: Path = BINFMT) -> None:
    """Raise MissingRightError when a bake for ``architecture`` cannot run on this ``machine``.

    The kernel runs foreign programs where binfmt_misc names an interpreter with the flag F, which it opens
    outside of the image (kernel: Documentation/admin-guide/binfmt-misc.rst).
    """
    wanted, here = MACHINES[architecture], machine or platform.machine()
    if wanted == here or _has_interpreter(wanted, binfmt):
        return
    raise MissingRightError(
        f"a bake for {architecture} runs programs of {architecture}, which this machine ({here}) cannot",
        hint=(
            "bake on a machine of that architecture, or let this kernel run its programs by QEMU:\n"
            f"    sudo apt-get install qemu-user-static binfmt-support   (makes {BINFMT}/qemu-{wanted})"
        ),
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


class Worker:
    """The process that bakes. It can be started before it is known what to bake, so that it is ready by then.

    A context manager: when it exits, the process has ended.
    """

    def __init__(self) -> None:
        # Closed in __exit__.
        self._trouble = tempfile.TemporaryFile(mode="w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._channel, theirs = socket.socketpair()
        self._busy = False
        with theirs:
            self._process = start(
                command(),
                stdin=theirs.fileno(),
                stdout=subprocess.PIPE,
                stderr=self._trouble,
                env=_environment(),
            )

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        # At that it gives up, if it has not ended: unshare(1) passes no signal on to it.
        self._channel.close()
        if not self._busy:
            self._process.kill()  # it may not even have begun to listen
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._trouble.close()

    def run(self, job: BakeJob, hold: Sequence[int], progress: Progress, fetch: Fetch) -> None:
        """Have one job done, pass its progress on, raise its error."""
        self._busy = True
        # If it has ended already, its status and its last words say why.
        with suppress(BrokenPipeError, ConnectionResetError):
            # A first byte with the locks' descriptors, which the process then holds as well: unix(7).
            socket.send_fds(self._channel, [b"\n"], list(hold))
            self._channel.sendall(job.text().encode() + b"\n")
        failure = self._hear(progress, fetch)
        self._channel.shutdown(socket.SHUT_WR)
        status = self._process.wait()
        if failure is not None:
            raise failure
        if status != 0:
            check_rights()
            self._trouble.seek(0)
            end = self._trouble.read().strip()[-2000:]
            raise BakeError(f"the bake ended with status {status}" + (f"\n{end}" if end else ""))

    def give_up(self) -> None:
        """End the process before its job is done; :meth:`run`, in whichever thread it is, raises then."""
        with suppress(OSError):  # it has ended by itself
            self._channel.shutdown(socket.SHUT_WR)

    def _hear(self, progress: Progress, fetch: Fetch) -> Optional[IngotError]:
        """Hear the worker to its end.

        The channel stays open meanwhile: it is how the worker knows that we live.
        """
        failure: Optional[IngotError] = None
        for line in self._process.stdout or ():
            message = json.loads(line)
            if "progress" in message:
                progress(message["progress"])
            elif "need" in message:
                fetch(message["need"], message.get("stage"))
                self._channel.sendall(b"\n")
            elif "error" in message:
                if message["error"]["type"] == "CommandError":
                    check_rights()  # a mount, most likely: it knows what to do about it
                failure = _error(**message["error"])
        return failure


def _environment() -> Dict[str, str]:
    """Return the worker's environment: where Python and Ingot are, nothing that could reach the image."""
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    package = str(Path(ingot.__file__).parent.parent)
    return {"PATH": path, "PYTHONPATH": package, "LC_ALL": "C.UTF-8", "TZ": "UTC", "PYTHONHASHSEED": "0"}


def _error(type: str, message: str, hint: Optional[str]) -> IngotError:  # noqa: A002 - the worker's word
    # Which tool is missing does not travel: message and hint say all that a user needs.
    kinds: Dict[str, Type[IngotError]] = {
        "StepError": errors.StepError,
        "SizeError": errors.SizeError,
        "MissingToolError": errors.MissingError,
    }
    return kinds.get(type, BakeError)(message, hint=hint)
