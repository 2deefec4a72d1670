"""A file that is received: hashed, and measured against what was announced."""

import hashlib
import io

import pytest

from ingot.bake.packages.receiving import PATIENCE, Body
from ingot.retry import Clock, driven_by

CONTENT = b"0123456789" * 1000
SIZE = 10_000


def body(announced=None, content=CONTENT, piece=1000):
    source = io.BytesIO(content)
    return Body(lambda most: source.read(min(most, piece)), announced)


def receive(what, limit=SIZE):
    file, sizes = io.BytesIO(), []
    return what.receive(file, limit, sizes.append), file.getvalue(), sizes


@pytest.mark.parametrize("announced", [None, SIZE])
def test_every_piece_is_hashed_and_counted(announced):
    received, written, sizes = receive(body(announced))
    assert received == (SIZE, hashlib.sha256(CONTENT).hexdigest())
    assert (written, sizes) == (CONTENT, [1000] * 10)


def test_more_than_the_limit_ends_after_a_piece():
    received, written, _ = receive(body(), limit=2500)
    assert (received.size, len(written)) == (3000, 3000)


def test_less_than_was_announced_is_no_file():
    with pytest.raises(ConnectionError, match="ended after 10000 of 10001 bytes"):
        receive(body(10_001))


def test_a_server_that_trickles_is_given_up():
    class Slow(Clock):
        seconds = 0.0

        def now(self):
            self.seconds += PATIENCE / 3
            return self.seconds

    with driven_by(Slow()), pytest.raises(TimeoutError, match="too slow: 4000 of 10000 bytes in 80 s"):
        receive(body(10_000))


def test_what_is_not_wanted_any_more_is_not_written():
    def refuse(_):
        raise InterruptedError

    file = io.BytesIO()
    with pytest.raises(InterruptedError):
        body().receive(file, SIZE, refuse)
    assert file.getvalue() == b""
