"""The one way in which Ingot runs other programs: the command, its log and its failure in one place.

Standard library only, Python 3.9: this module travels to builder instances with ``ingot.bake``.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from pathlib import Path
from typing import IO, Any, Dict, List, Mapping, Optional, Sequence, Union

from ingot.errors import IngotError, MissingToolError

# Which Debian or Ubuntu package brings a tool.
PACKAGE_OF: Dict[str, str] = {
    "apt-get": "apt",
    "apt-cache": "apt",
    "dpkg-deb": "dpkg",
    "mmdebstrap": "mmdebstrap",
    "e2fsck": "e2fsprogs",
    "debugfs": "e2fsprogs",
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "git": "git",
    "gpg": "gpg",
    "gpgv": "gpgv",
    "newgidmap": "uidmap",
    "newuidmap": "uidmap",
    "setpriv": "util-linux",
    "unshare": "util-linux",
    "xz": "xz-utils",
    "zstd": "zstd",
}


class CommandError(IngotError):
    """A program that Ingot ran failed. ``output`` holds the end of what it printed."""

    def __init__(self, command: Sequence[str], status: int, output: str) -> None:
        what = f"exit status {status}" if status >= 0 else f"signal {-status}"
        end = "\n".join("    " + line for line in output.strip().splitlines()[-20:])
        super().__init__(f"{shlex.join(command)}: {what}" + (f"\n{end}" if end else ""))
        self.command = list(command)
        self.status = status
        self.output = output


def require(tool: str, *, needed_for: str) -> str:
    """Return the path of ``tool``; raise MissingToolError with the command that installs it."""
    # sbin is not on an ordinary user's PATH in Debian, but file system tools live there.
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    found = shutil.which(tool, path=path)
    if found is None:
        raise MissingToolError(tool, package=PACKAGE_OF.get(tool, tool), needed_for=needed_for)
    return found


def run(
    command: Sequence[Union[str, "os.PathLike[str]"]],
    *,
    input: Optional[str] = None,  # noqa: A002 - the name that subprocess.run gives it
    env: Optional[Mapping[str, str]] = None,
    cwd: Optional[Path] = None,
    timeout: Optional[float] = None,
    check: bool = True,
) -> "subprocess.CompletedProcess[str]":
    """Run ``command`` to its end and return its output as text, stdout and stderr apart.

    Raises CommandError when ``check`` is set and the status is not 0, or after ``timeout`` seconds.
    """
    words: List[str] = [os.fspath(word) for word in command]
    try:
        done = subprocess.run(
            words,
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=None if env is None else dict(env),
            cwd=cwd,
            timeout=timeout,
            text=True,
            errors="surrogateescape",
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CommandError(words, -9, f"no end after {timeout} s") from error
    if check and done.returncode != 0:
        raise CommandError(words, done.returncode, done.stderr or done.stdout)
    return done


def run_attached(
    command: Sequence[Union[str, "os.PathLike[str]"]],
    *,
    env: Optional[Mapping[str, str]] = None,
    cwd: Optional[Path] = None,
    stdout: Union[int, IO[Any], None] = None,
) -> int:
    """Run ``command`` on the caller's terminal until it ends by itself, and return its exit status.

    An interrupt reaches it too (Ctrl-C by the terminal, SIGTERM from here), and its clean-up is waited for however
    long it takes: ``subprocess.run`` kills it a quarter of a second later, and leaves behind what it was about to
    remove. Call it in the main thread. After Ctrl-C it raises KeyboardInterrupt.
    """
    words = [os.fspath(word) for word in command]
    with subprocess.Popen(words, env=None if env is None else dict(env), stdout=stdout, cwd=cwd) as child:
        before = signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        try:
            return child.wait()
        except KeyboardInterrupt:
            child.wait()
            raise
        finally:
            signal.signal(signal.SIGTERM, before)
