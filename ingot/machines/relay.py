"""Hands a guest's connection to 169.254.169.254 over to the metadata service, and is gone.

QEMU's user network starts this program for every such connection (``guestfwd=…-cmd:``) with the connection as
its standard input. It passes that very socket on to the service's Unix socket (SCM_RIGHTS, unix(7)), so no
byte of the conversation goes through this process. It runs as ``python -I -S``: it may import nothing but
built-in modules.
"""

import _socket  # the bare module: `socket` would triple the time that this program takes to start
import array
import sys


def hand_over(path: str) -> None:
    """Send this process's standard input to the service that listens at ``path``."""
    service = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        service.connect(path)
        rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", [0]))
        service.sendmsg([b"\0"], [rights])
    finally:
        service.close()


if __name__ == "__main__":
    hand_over(sys.argv[1])
