"""Where the programs of an image run: namespaces of their own, in which nothing but the image is visible.

A small process, the spawner, is forked from the bake while that has one thread and little memory. It starts
each program:

* The image is the root of a mount namespace of the program's own (pivot_root(2)); the old root is unmounted,
  so no path leads out of the image. It shows no device but the nodes of
  :data:`ingot.bake.runtime.chroot.DEVICES`.
* PID, IPC and UTS namespaces are the program's own; when its first process ends, the kernel kills all others.
* /proc is that of the PID namespace and read-only: the modes of its files, too, are the whole machine's. What
  root alone may read in it is hidden.
* The program is root in a user namespace that owns none of the others: it can mount, unshare or trace nothing
  outside of itself, make no device, load no module, set no clock. It can make no further namespaces: their
  limits are zero in that user namespace.
* It inherits no descriptor, environment, session keyring or supplementary group of the bake, and leaves no
  core file.

The same process unpacks archives below a root directory (:meth:`Spawner.call`), in a child that has that
directory as its root, so that links lead nowhere else. Standard library only, Python 3.9.
"""

from __future__ import annotations

import ctypes
import fcntl
import importlib
import json
import os
import platform
import resource
import select
import signal
import socket
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable, Collection, Dict, List, Mapping, NoReturn, Optional, Sequence

from ingot.bake.runtime import mounts
from ingot.errors import IngotError, MissingRightError
from ingot.process import CommandError

# linux/sched.h
_NEWNS, _NEWUTS, _NEWIPC = 0x00020000, 0x04000000, 0x08000000
_NEWUSER, _NEWPID, _NEWNET = 0x10000000, 0x20000000, 0x40000000
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP = 1, 24  # linux/prctl.h
_KEYCTL = {"x86_64": 250, "aarch64": 219}  # the number of keyctl(2)
_JOIN_SESSION_KEYRING = 1  # linux/keyctl.h
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1  # linux/sockios.h, linux/if.h
# What a program may do as root, by the numbers of linux/capability.h: chown, dac_override, fowner, fsetid,
# kill, setgid, setuid, setpcap, net_bind_service, net_raw, sys_chroot, audit_write, setfcap. Scripts of
# packages need no others.
_CAPABILITIES = frozenset((0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 29, 31))
# In a user namespace that owns no network these have no power, but a file that has one of them cannot be
# executed without it: net_admin, ipc_lock, sys_nice.
_POWERLESS = frozenset((12, 14, 23))
_LIMITS = Path("/proc/sys/user")
# World-readable, but about other users' keys.
_HIDDEN = ("keys", "key-users")
_libc = ctypes.CDLL(None, use_errno=True)


class SpawnError(Exception):
    """A program could not be started. The message says why."""


class Spawner:
    """Starts programs in roots. The process behind it ends with this one."""

    def __init__(self) -> None:
        self._programs, programs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._calls, calls = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with programs, calls:
            if os.fork() == 0:
                _as_child(lambda: _serve(programs, calls))

    def run(self, program: "Program", output: int, remaining: int) -> "Child":
        """Start a program that writes to the descriptor ``output``; the names of what it
        leaves running go to ``remaining``.
        """
        return _start(self._programs, b"run", program.plain(), [output, remaining])

    def call(self, function: str, root: Path, argument: Mapping[str, Any], descriptor: int) -> "Child":
        """Call ``function``, "module:name", with ``descriptor`` and ``argument``, in a
        process whose root directory is ``root``.
        """
        return _start(self._calls, function.encode(), {"root": str(root), "argument": argument}, [descriptor])


def _start(
    channel: socket.socket, message: bytes, request: Mapping[str, Any], descriptors: Sequence[int]
) -> "Child":
    control, theirs = socket.socketpair()
    with theirs:
        socket.send_fds(channel, [message], [theirs.fileno(), *descriptors])
    child = Child(control)
    control.sendall(json.dumps(request).encode() + b"\n")
    return child


class Program:
    """A program of an image: root directory, words, environment, and whether it needs a
    network namespace of its own.
    """

    def __init__(
        self, root: Path, words: Sequence[str], environment: Mapping[str, str], *, online: bool
    ) -> None:
        self.root, self.words, self.environment, self.online = root, words, environment, online

    def plain(self) -> Dict[str, Any]:
        """Return it as JSON has it."""
        root, words = str(self.root), list(self.words)
        return {"root": root, "words": words, "environment": dict(self.environment), "online": self.online}


class Child:
    """Something that the spawner started. It is killed, with all that it started, when this is closed."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        self._control.close()

    def kill(self) -> None:
        """End it and all that it started."""
        self._control.shutdown(socket.SHUT_WR)

    def result(self) -> Dict[str, Any]:
        """Return what it answered: of a program, {"status": N}.

        Raises SpawnError, or the IngotError that a function raised.
        """
        answer: Dict[str, Any] = json.loads(_line(self._control))
        if "right" in answer:
            raise MissingRightError(answer["right"], hint=answer["hint"])
        if "error" in answer:
            raise SpawnError(answer["error"])
        return answer


_spawner: Optional[Spawner] = None


def spawner() -> Spawner:
    """Return the spawner of this process, which it starts at the first call: best while
    there is one thread.
    """
    global _spawner
    if _spawner is None:
        _spawner = Spawner()
    return _spawner


def loopback_up() -> None:
    """Set up the loopback interface of this process's network namespace; whoever runs
    there may listen on any port: netdevice(7), ip(7).
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))
    with suppress(OSError):  # /proc/sys is read-only in some containers: then only root's ports are missing
        Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").write_text("0")


def _as_child(work: Callable[[], None]) -> NoReturn:
    """Do ``work`` in a process that was just forked, and end it: nothing of the parent's
    may run there, no clean-up either.
    """
    status = 1
    try:
        work()
        status = 0
    finally:
        os._exit(status)


# The spawner's own process.


def _serve(programs: socket.socket, calls: socket.socket) -> None:
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1):  # the bake's own, of which the other side waits for the end
        os.dup2(null, descriptor)
    _close_all_but({0, 1, 2, programs.fileno(), calls.fileno()})
    os.chdir("/")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the bake decides what an interrupt means
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies
    space = _UserNamespace()
    taken, take = os.pipe()
    _prepare(programs, take, space)
    while True:
        ready, _, _ = select.select([calls.fileno(), taken], [], [])
        if calls.fileno() in ready:
            message, descriptors, _, _ = socket.recv_fds(calls, 4096, 2)
            if not message:
                return
            _begin_call(message.decode(), descriptors)
        if taken in ready:
            os.read(taken, 1)
            _prepare(programs, take, space)


def _close_all_but(kept: Collection[int]) -> None:
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names alone
        if int(name) not in kept:
            with suppress(OSError):  # that of the directory, which is closed by now
                os.close(int(name))


def _begin_call(function: str, descriptors: Sequence[int]) -> None:
    importlib.import_module(function.partition(":")[0])  # here, so that it is done once
    if os.fork() == 0:
        with socket.socket(fileno=descriptors[0]) as control:
            _as_child(lambda: _answer(control, lambda: _call(function, control, descriptors[1])))
    for descriptor in descriptors:
        os.close(descriptor)


def _prepare(programs: socket.socket, take: int, space: "_UserNamespace") -> None:
    """Have the next program's processes ready, so that it need not wait for them."""
    if os.fork() == 0:
        _as_child(lambda: _supervise(programs, take, space))


def _answer(control: socket.socket, work: Callable[[], Dict[str, Any]]) -> None:
    try:
        answer = work()
    except MissingRightError as error:
        answer = {"right": error.message, "hint": error.hint}
    except IngotError as error:
        answer = {"error": error.message, "hint": error.hint}
    except (OSError, SpawnError) as error:
        answer = {"error": str(error)}
    except Exception as error:  # noqa: BLE001 - nobody sees this process: the other side names it
        answer = {"error": f"{type(error).__name__}: {error}"}
    with suppress(BrokenPipeError, ConnectionResetError):  # the bake has given it up
        control.sendall(json.dumps(answer).encode() + b"\n")


def _line(control: socket.socket) -> bytes:
    pieces: List[bytes] = []
    while not (pieces and pieces[-1].endswith(b"\n")):
        piece = control.recv(1 << 16)
        if not piece:
            raise SpawnError("the process at the other end has ended")
        pieces.append(piece)
    return b"".join(pieces)


def _call(function: str, control: socket.socket, descriptor: int) -> Dict[str, Any]:
    request = json.loads(_line(control))
    module, _, name = function.partition(":")
    work = getattr(sys.modules[module], name)
    _forbid_imports()
    os.chroot(request["root"])
    os.chdir("/")
    answer: Dict[str, Any] = work(descriptor, **request["argument"])
    return answer


def _forbid_imports() -> None:
    """Let nothing be imported from now on: in the image's root, its modules would be
    found in place of this machine's.
    """
    sys.meta_path.clear()
    sys.path.clear()


def _supervise(programs: socket.socket, take: int, space: "_UserNamespace") -> None:
    """Make the namespaces of the next program and their first process, wait for a
    request, and for the program's end.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    ours, theirs = socket.socketpair()
    trouble, report = os.pipe()
    refusal = space.refusal
    child = 0
    try:
        if refusal is None:
            _unshare(_NEWPID | _NEWIPC | _NEWUTS)
            child = os.fork()
    except OSError as error:
        refusal = f"the programs of the image cannot be given namespaces of their own: {error}"
    if child == 0 and refusal is None:
        ours.close()
        _as_child(lambda: _become(theirs, report, space))
    theirs.close()
    os.close(report)
    message, descriptors, _, _ = socket.recv_fds(programs, 16, 3)
    if not message:
        return
    os.write(take, b".")
    with socket.socket(fileno=descriptors[0]) as control:
        if refusal is None:
            socket.send_fds(ours, [b"run"], descriptors)
        for descriptor in descriptors[1:]:
            os.close(descriptor)
        _answer(control, lambda: _await(control, child, trouble, refusal))


def _await(control: socket.socket, child: int, trouble: int, refusal: Optional[str]) -> Dict[str, Any]:
    if refusal is not None:
        hint = "run it on a machine or in a container that may: docker run --privileged"
        raise MissingRightError(refusal, hint=hint)
    with os.fdopen(trouble, encoding="utf-8", errors="replace") as file:
        why = file.read()  # empty when the program was executed
    handle = os.pidfd_open(child)
    ready, _, _ = select.select([control.fileno(), handle], [], [])
    if handle not in ready:  # the bake has given it up, or has ended
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if why:
        raise SpawnError(why)
    return {"status": -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)}


def _become(channel: socket.socket, trouble: int, space: "_UserNamespace") -> None:
    """Wait for a program's request and become that program, as the first process of its namespaces."""
    message, descriptors, _, _ = socket.recv_fds(channel, 16, 3)
    if not message:
        return
    with socket.socket(fileno=descriptors[0]) as control:
        request = json.loads(_line(control))
    _, output, remaining = descriptors
    try:
        os.setsid()
        _unshare(_NEWNS | (_NEWNET if request["online"] else 0))
        if request["online"]:
            loopback_up()
        _forbid_imports()
        mounts.make_private()
        mounts.enter(Path(request["root"]))
        space.hide()
        _forget(space)
        for target, descriptor in enumerate((remaining, output, output)):
            os.dup2(descriptor, target)
        os.dup2(trouble, 3, inheritable=False)
        trouble = 3
        _close_all_but({0, 1, 2, trouble})
        for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.execve(request["words"][0], request["words"], request["environment"])  # noqa: S606 - no shell
    except CommandError as error:
        os.write(trouble, f"{error.command[-1]} cannot be mounted: {error.output}".encode())
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        os.write(trouble, f"{place}{error.strerror}".encode())
    except Exception as error:  # noqa: BLE001 - nobody sees this process: the other side names it
        os.write(trouble, f"{type(error).__name__}: {error}".encode())


def _forget(space: "_UserNamespace") -> None:
    """Give up what a program of the image must not have."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    _limit_cores()
    keyctl = _KEYCTL.get(platform.machine())
    if keyctl is not None:
        _libc.syscall(
            ctypes.c_long(keyctl), _JOIN_SESSION_KEYRING, None
        )  # fails on a kernel that has no keyrings
    kept = _CAPABILITIES
    if space.handle is not None:
        _check(_libc.setns(space.handle, _NEWUSER), "setns")
        kept = kept | _POWERLESS
    os.setgroups([])
    for number in range(space.capabilities):
        if number not in kept:
            _check(_libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0), "prctl")


def _limit_cores() -> None:
    """Let no program of the image have a core file of it written, or handed to a program of this machine's.

    A core_pattern(5) that is a pipe is not used at a limit of 1, and a file has no room. Where the limit is 0
    already and may not be raised, which takes CAP_SYS_RESOURCE in the first user namespace, it stays 0: there
    is no file either.
    """
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (1, 1))
    except ValueError:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class _UserNamespace:
    """The user namespace of all programs of one bake, and what they must not read in /proc.

    ``handle`` is None where root may make none because they are switched off: then a program cannot either,
    and what the bake takes from its capabilities holds it. ``refusal`` says what else is in the way.
    """

    def __init__(self) -> None:
        self.handle: Optional[int] = None
        self.refusal: Optional[str] = None
        ours, theirs = socket.socketpair()
        with ours, theirs:
            if os.fork() == 0:
                _as_child(lambda: _describe(theirs))
            theirs.close()
            message, descriptors, _, _ = socket.recv_fds(ours, 1 << 16, 1)
        answer = json.loads(
            message or b'{"refusal": "the user namespace of the programs of the image cannot be made"}'
        )
        self.refusal = answer.get("refusal")
        if descriptors:
            self.handle = descriptors[0]
        self.capabilities = int(Path("/proc/sys/kernel/cap_last_cap").read_text()) + 1
        self._null = Path("/dev/null")
        self._hidden = [Path("/proc", name) for name in answer.get("hidden", ())]

    def hide(self) -> None:
        """Let nobody read what is root's alone in /proc. Raises CommandError."""
        for part in self._hidden:
            mounts.bind(self._null, part)


def _describe(channel: socket.socket) -> None:
    """Make the user namespace, look at /proc, and send both."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    answer: Dict[str, Any] = {}
    handles: List[int] = []
    try:
        _unshare(_NEWNS)
        mounts.make_private()
        # Of this PID namespace, and as the programs will see it: the machine's own may hide more, and may be
        # read-only.
        mounts.mount_proc(Path("/proc"), read_only=False)
        answer["hidden"] = hidden_in_proc()
        handle = _make_user_namespace()
        handles = [] if handle is None else [handle]
    except CommandError as error:
        answer["refusal"] = f"the programs of the image cannot be given a /proc of their own: {error.output}"
    except (OSError, SpawnError) as error:
        answer["refusal"] = f"the programs of the image cannot be given a user namespace: {error}"
    socket.send_fds(channel, [json.dumps(answer).encode()], handles)


def hidden_in_proc() -> List[str]:
    """Return the names in /proc that root alone may read, and those of keys."""
    hidden = []
    for entry in sorted(os.scandir("/proc"), key=lambda entry: entry.name):
        if not entry.is_file(follow_symlinks=False):  # of its name alone: a process may have ended meanwhile
            continue
        mode = entry.stat(follow_symlinks=False).st_mode
        if entry.name in _HIDDEN or (mode & 0o400 and not mode & 0o004):
            hidden.append(entry.name)
    return hidden


def _make_user_namespace() -> Optional[int]:
    """Return a descriptor of a user namespace with the ids of this one, in which no namespaces can be made;
    None where there can be none.
    """
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        ours.close()
        _as_child(lambda: _limit_namespaces(theirs))
    theirs.close()
    try:
        if (why := ours.recv(4096)) != b"made":
            switch = _LIMITS / "max_user_namespaces"
            if os.geteuid() == 0 and (not switch.exists() or switch.read_text().strip() == "0"):
                return None
            raise SpawnError(why.decode(errors="replace"))
        for name in ("uid_map", "gid_map"):
            rows = [line.split() for line in Path("/proc/self", name).read_text().splitlines()]
            text = "".join(f"{first} {first} {count}\n" for first, _, count in rows)
            Path(f"/proc/{child}/{name}").write_text(text)
        ours.sendall(b"mapped")
        if (why := ours.recv(4096)) != b"limited":
            raise SpawnError(why.decode(errors="replace"))
        return os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        ours.close()
        os.waitpid(child, 0)


def _limit_namespaces(channel: socket.socket) -> None:
    try:
        _unshare(_NEWUSER)
        channel.sendall(b"made")
        channel.recv(4096)
        for limit in _LIMITS.glob("max_*_namespaces"):
            limit.write_text("0")
        channel.sendall(b"limited")
    except OSError as error:
        channel.sendall(str(error).encode())
    channel.recv(1)  # until the other side has the namespace


def _unshare(flags: int) -> None:
    _check(_libc.unshare(flags), "unshare")


def _check(result: int, call: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
