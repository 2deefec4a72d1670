"""AWS for commands that need little of it: moto's server."""

import os
import subprocess
import sys

import pytest

# moto's server; it ends with its standard input.
SERVER = """\
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print("http://{}:{}".format(*server.get_host_and_port()), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def moto_server():
    """A server in a process of its own: in this one a local cloud of another module may
    have replaced parts of moto.
    """
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MOTO_")}
    words = [sys.executable, "-c", SERVER]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ
    ) as process:
        yield process.stdout.readline().strip()
        process.stdin.close()
