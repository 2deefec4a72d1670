"""A terminal of this machine, connected to a shell in another one."""

from __future__ import annotations

import os
import select
import shlex
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager

from ingot.pipeline.inspection.channel import Channel, Output

DETACH = b"\x1d"  # Ctrl-], as in telnet(1)
# Terminals that every image knows: ncurses-base has them, and ncurses-base is essential in Debian.
_KNOWN = frozenset(("linux", "vt100", "vt220", "xterm", "xterm-256color", "screen", "tmux", "tmux-256color"))


def shell_script(term: str, size: os.terminal_size) -> str:
    """Return the script that runs a login shell on the machine's terminal."""
    term = term if term in _KNOWN else "vt220"
    return (
        f"stty sane rows {size.lines} cols {size.columns}; export TERM={shlex.quote(term)}\n"
        "if command -v bash >/dev/null; then bash -l; else sh -l; fi"
    )


def attach(channel: Channel, script: str, keyboard: int, output: Output) -> int | None:
    """Run ``script`` with the terminal ``keyboard``, a descriptor, as its own; return its exit status.

    None when Ctrl-] was typed. Raises CloudError when the machine ends.
    """
    channel.begin(script)
    with raw(keyboard):
        while True:
            ready, _, _ = select.select([channel.fileno(), keyboard], [], [])
            if channel.fileno() in ready:
                status = channel.receive(output)
                if status is not None:
                    return status
            if keyboard in ready:
                typed = os.read(keyboard, 1024)
                if not typed or DETACH in typed:
                    return None
                channel.send(typed)


@contextmanager
def raw(keyboard: int) -> Iterator[None]:
    """Let each key, Ctrl-C too, come through as it is typed."""
    before = termios.tcgetattr(keyboard)
    tty.setraw(keyboard)
    try:
        yield
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
