"""Locks between processes: one bakes, the others wait and find the result."""

from __future__ import annotations

import fcntl
import os
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Callable, Iterator


@contextmanager
def locked(file: Path, *, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of ``file``; call ``waiting`` once when another process holds it. The kernel frees the lock of a dead process."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def shared(file: Path) -> Iterator[None]:
    """Hold the lock of ``file`` together with others that only use what it guards: nobody changes that meanwhile."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)


def obtain(thing: Path, make: Callable[[], None], *, use: ExitStack, waiting: Callable[[], None]) -> None:
    """See that ``thing`` is there, made by ``make`` if it is not; until ``use`` ends, nobody removes it.

    Its lock is ``thing`` with the suffix ``.lock``: those who use it share it, who makes or removes it has it alone.
    """
    lock = thing.with_name(f"{thing.name}.lock")
    while True:
        with ExitStack() as attempt:
            attempt.enter_context(shared(lock))
            if thing.exists():
                os.utime(thing)  # for the collection of garbage: when it was used last
                use.enter_context(attempt.pop_all())
                return
        with locked(lock, waiting=waiting):
            if not thing.exists():
                make()


def is_locked(file: Path) -> bool:
    """Tell whether some process holds the lock of ``file``."""
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
