"""The one way in which Ingot runs other programs: the command, its log and its failure in one place.

Standard library only, Python 3.9: this module travels to builder instances with ``ingot.bake``.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Union

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
    "qemu-system-aarch64": "qemu-system-arm",
    "qemu-img": "qemu-utils",
    "git": "git",
    "gpg": "gpg",
    "pip": "python3-pip",
    "npm": "npm",
    "gpgv": "gpgv",
    "newgidmap": "uidmap",
    "newuidmap": "uidmap",
    "setpriv": "util-linux",
    "unshare": "util-linux",
    "xz": "xz-utils",
    "zstd": "zstd",
}


Command = Sequence[Union[str, "os.PathLike[str]"]]
# A file, a descriptor, subprocess.PIPE or DEVNULL; None: the caller's own.
Stream = Union[None, int, IO[Any]]
# As a stream: the caller's own standard error.
STDERR = 2


# Told of each program before it starts, as a shell would take it; of calls of AWS likewise.
listener: Optional[Callable[[str], None]] = None


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
    command: Command,
    *,
    input: Optional[str] = None,  # noqa: A002 - the name that subprocess.run gives it
    env: Optional[Mapping[str, str]] = None,
    cwd: Optional[Path] = None,
    timeout: Optional[float] = None,
    check: bool = True,
) -> "subprocess.CompletedProcess[str]":
    """Run ``command`` to its end and return its output as text, stdout and stderr apart.

    Raises CommandError when ``check`` is set and the status is not 0, or after ``timeout`` seconds;
    MissingToolError when there is no such program.
    """
    words = _words(command)
    with _missing_tool(words):
        try:
            ended = subprocess.run(
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
    if check and ended.returncode != 0:
        raise CommandError(words, ended.returncode, ended.stderr or ended.stdout)
    return ended


def run_binary(
    command: Command,
    *,
    input: Union[bytes, IO[bytes], None] = None,  # noqa: A002 - as in run
    check: bool = True,
) -> "subprocess.CompletedProcess[bytes]":
    """Run ``command`` as :func:`run` does; its output is bytes. ``input``: bytes, or an open file."""
    words = _words(command)
    data = input if isinstance(input, bytes) else None
    stdin: Stream = None if isinstance(input, bytes) else input or subprocess.DEVNULL
    with _missing_tool(words):
        ended = subprocess.run(
            words, input=data, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False
        )
    if check and ended.returncode != 0:
        raise CommandError(words, ended.returncode, (ended.stderr or ended.stdout).decode(errors="replace"))
    return ended


def start(
    command: Command,
    *,
    stdin: Stream = subprocess.DEVNULL,
    stdout: Stream = None,
    stderr: Stream = None,
    env: Optional[Mapping[str, str]] = None,
    cwd: Optional[Path] = None,
    pass_fds: Sequence[int] = (),
    new_session: bool = False,
) -> "subprocess.Popen[bytes]":
    """Start ``command`` and return its process: use it as a context manager, or see that it ends.

    Raises MissingToolError when there is no such program.
    """
    words = _words(command)
    with _missing_tool(words):
        return subprocess.Popen(
            words,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=None if env is None else dict(env),
            cwd=cwd,
            pass_fds=pass_fds,
            start_new_session=new_session,
        )


def read_from(command: Command) -> "subprocess.Popen[bytes]":
    """Start ``command`` and return its process, whose stdout is a pipe; what it says on stderr is dropped.

    Use it as a context manager: it may end before everything was read.
    """
    return start(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def run_attached(
    command: Command,
    *,
    env: Optional[Mapping[str, str]] = None,
    cwd: Optional[Path] = None,
    stdout: Union[int, IO[Any], None] = None,
    line: Optional[Callable[[str], None]] = None,
) -> int:
    """Run ``command`` on the caller's terminal until it ends by itself, and return its exit status.

    ``line`` is called with each line that it prints, on either stream, instead of the terminal.

    An interrupt reaches it too (Ctrl-C by the terminal, SIGTERM from here), and its clean-up is waited for
    however long it takes: ``subprocess.run`` kills it a quarter of a second later, and leaves behind what it
    was about to remove. Call it in the main thread. After Ctrl-C it raises KeyboardInterrupt.
    """
    output, errors = (stdout, None) if line is None else (subprocess.PIPE, subprocess.STDOUT)
    with start(command, stdin=None, env=env, stdout=output, stderr=errors, cwd=cwd) as child:
        before = signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        try:
            _read(child, line)
            return child.wait()
        except KeyboardInterrupt:
            _read(child, line)
            child.wait()
            raise
        finally:
            signal.signal(signal.SIGTERM, before)


def _read(child: "subprocess.Popen[bytes]", line: Optional[Callable[[str], None]]) -> None:
    """Call ``line`` with what is left of the child's output."""
    if line is not None and child.stdout is not None:
        for text in child.stdout:
            line(text.decode(errors="replace").rstrip("\n"))


def _words(command: Command) -> List[str]:
    words = [os.fspath(word) for word in command]
    if listener is not None:
        listener(shlex.join(words))
    return words


@contextmanager
def _missing_tool(words: Sequence[str]) -> Iterator[None]:
    """Raise MissingToolError where the program is not there. A missing directory to run it in is another
    error.
    """
    try:
        yield
    except FileNotFoundError as error:
        if error.filename != words[0]:
            raise
        package = PACKAGE_OF.get(words[0], words[0])
        raise MissingToolError(
            words[0], package=package, needed_for=f"run {shlex.join(words[:2])}"
        ) from error
