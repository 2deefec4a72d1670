"""Servers of the tests' own, on loopback, and ports for programs that bind them later."""

import os
import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from socketserver import BaseServer


def free_port() -> int:
    """Return a port that is free, and that the kernel gives nobody who asks for any: those begin at 32768.

    Each worker of pytest-xdist has ports of its own, for what is started on one binds it seconds or minutes
    later.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 20
    for port in random.sample(range(20_000 + 500 * worker, 20_500 + 500 * worker), 500):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise OSError("no free port for a test")


@contextmanager
def serving() -> Iterator[Callable[[BaseServer], None]]:
    """Give a function that lets a server answer, until the block ends."""
    started = []

    def start(server: BaseServer) -> None:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        started.append((server, thread))

    try:
        yield start
    finally:
        for server, thread in started:
            server.shutdown()
            thread.join()
            server.server_close()
