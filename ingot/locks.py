"""Locks between processes. They are the kernel's (flock(2)): a process that dies holds none."""

from __future__ import annotations

import fcntl
import os
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Callable, Iterator


@contextmanager
def locked(file: Path, *, waiting: Callable[[], None], shared: bool = False) -> Iterator[int]:
    """Hold the lock of ``file``, with ``shared`` beside others that share it; call ``waiting`` once before
    waiting for it.

    Gives the descriptor that holds it: a process that inherits it keeps holding the lock when this one dies.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    handle = _open(file)
    try:
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(handle, kind)
        while not _is_there(file, handle):  # its last owner removed the file: such a lock protects nothing
            os.close(handle)
            handle = _open(file)
            fcntl.flock(handle, kind)
        yield handle
    finally:
        os.close(handle)


@contextmanager
def try_locked(file: Path) -> Iterator[bool]:
    """Hold the lock of ``file`` if nobody else does; give whether this process holds it now."""
    handle = _open(file)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = _is_there(file, handle)
        except BlockingIOError:
            held = False
        yield held
    finally:
        os.close(handle)


def obtain(thing: Path, make: Callable[[], None], *, use: ExitStack, waiting: Callable[[], None]) -> None:
    """Make ``thing`` by calling ``make`` unless it exists; nobody removes it until ``use`` ends.

    Its lock is ``thing`` with the suffix ``.lock``: users share it, whoever makes or removes ``thing`` holds
    it alone.
    """
    lock = thing.with_name(f"{thing.name}.lock")
    while True:
        with ExitStack() as attempt:
            attempt.enter_context(locked(lock, waiting=waiting, shared=True))
            if thing.exists():
                os.utime(thing)  # garbage collection goes by the time of the last use
                use.enter_context(attempt.pop_all())
                return
        with locked(lock, waiting=waiting):
            if not thing.exists():
                make()


def is_locked(file: Path) -> bool:
    """Tell whether some process holds the lock of ``file``, or shares it."""
    try:
        handle = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _open(file: Path) -> int:
    file.parent.mkdir(parents=True, exist_ok=True)
    return os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)


def _is_there(file: Path, handle: int) -> bool:
    """Tell whether an open file still has its name: its last owner may have deleted it before our lock."""
    try:
        return os.path.samestat(file.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False
