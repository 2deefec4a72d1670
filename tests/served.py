"""Servers of the tests' own, on loopback."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from socketserver import BaseServer


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
