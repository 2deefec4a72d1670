"""File locks: exclusive, shared, and those whose file was removed meanwhile."""

import threading
from contextlib import ExitStack

import pytest

from ingot.locks import is_locked, locked, obtain, try_locked


def test_a_lock_whose_file_was_removed_is_no_lock(tmp_path):
    file = tmp_path / "lock"
    got = threading.Event()

    def wait():
        with locked(file, waiting=lambda: None):
            assert is_locked(file)
            got.set()

    with try_locked(file) as free:
        assert free
        waiter = threading.Thread(target=wait)
        waiter.start()
        file.unlink()
    waiter.join(30)
    assert got.is_set()


def test_a_shared_lock_is_shared_and_seen(tmp_path):
    file = tmp_path / "lock"
    with locked(file, waiting=pytest.fail, shared=True), locked(file, waiting=pytest.fail, shared=True):
        assert is_locked(file)
        with try_locked(file) as free:
            assert not free
    assert not is_locked(file)


def test_a_held_lock_is_waited_for_and_the_wait_is_reported_once(tmp_path):
    file = tmp_path / "lock"
    waits = []
    first = threading.Event()

    def wait():
        with locked(file, waiting=lambda: (waits.append(1), first.set())):
            pass

    with locked(file, waiting=pytest.fail):
        waiter = threading.Thread(target=wait)
        waiter.start()
        assert first.wait(30)
        assert waiter.is_alive()
    waiter.join(30)
    assert waits == [1]


def test_what_is_obtained_is_made_once_and_held_until_its_use_ends(tmp_path):
    thing = tmp_path / "thing"
    calls = []

    def make():
        calls.append(1)
        thing.mkdir()

    with ExitStack() as use:
        obtain(thing, make, use=use, waiting=pytest.fail)
        obtain(thing, make, use=use, waiting=pytest.fail)
        assert is_locked(tmp_path / "thing.lock")
    assert calls == [1]
    assert not is_locked(tmp_path / "thing.lock")
