"""A shell, a command or a script in a machine that answers on its second serial port."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence

from ingot.errors import CloudError
from ingot.pipeline.inspection.channel import Channel, Output
from ingot.pipeline.inspection.terminal import attach, shell_script

# Seconds until a machine's service manager runs; an emulated one takes about ten on an idle machine.
ANSWER_LIMIT = 300.0
# Of a command that ran in a machine that has booted: the boot is over when systemd has nothing left to start.
_BOOTED = "timeout 300 systemctl is-system-running --wait >/dev/null 2>&1"


def require_answer(channel: Channel, limit: float) -> None:
    """Wait until the machine answers; raise CloudError when it does not within ``limit`` seconds."""
    if not channel.wait(limit):
        raise CloudError(
            f"the machine did not answer within {limit:.0f} s",
            hint="its console shows how far the boot got: ingot console NAME",
        )


def script_of(words: Sequence[str]) -> str:
    """Return the words of a command as a script. A single word is one already, as for ssh(1)."""
    return words[0] if len(words) == 1 else shlex.join(words)


def run_script(channel: Channel, script: str, output: Output) -> int:
    """Run a script once the boot has finished, and return its exit status.

    What it prints, on both streams, goes to ``output``. Raises CloudError when the machine ends.
    """
    status = channel.run(f"exec </dev/null\nexport TERM=dumb PAGER=cat\n{_BOOTED}\n{script}", output)
    return 0 if status is None else status


def open_shell(channel: Channel, keyboard: int, term: str, output: Output) -> int:
    """Connect a login shell, at once, with the terminal ``keyboard``, a descriptor, of the type ``term``;
    return the shell's exit status, 0 when it was left by Ctrl-].

    Raises CloudError when the machine ends.
    """
    status = attach(channel, shell_script(term, os.get_terminal_size(keyboard)), keyboard, output)
    return 0 if status is None else status
