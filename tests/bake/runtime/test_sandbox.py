"""What the programs of an image are given to run in."""

import os
import signal
import subprocess
from contextlib import contextmanager

from ingot.bake.runtime.sandbox import hidden_in_proc

# Five shells at once, each of which starts programs that end at once.
STORM = "for shell in 1 2 3 4 5; do (while :; do /bin/true; done) & done; wait"


@contextmanager
def storm():
    with subprocess.Popen(["/bin/sh", "-c", STORM], start_new_session=True) as shells:
        try:
            yield
        finally:
            os.killpg(shells.pid, signal.SIGKILL)


def test_what_is_hidden_is_found_while_processes_come_and_go():
    quiet = hidden_in_proc()
    with storm():
        assert [names for _ in range(300) if (names := hidden_in_proc()) != quiet] == []
