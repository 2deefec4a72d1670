"""A root shell, a command or a script: in a copy of an image, in a machine that was booted, in a clone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

from ingot.interrupts import terminate_as_interrupt
from ingot.machines.qemu import require_tools
from ingot.pipeline.boot import MEMORY_MIB, BootOptions, booted
from ingot.pipeline.inspection import machines
from ingot.pipeline.inspection.channel import Channel, Output
from ingot.pipeline.inspection.clones import is_clone, session
from ingot.pipeline.inspection.shell import ANSWER_LIMIT, open_shell, require_answer, run_script, script_of
from ingot.pipeline.inspection.tree import enter
from ingot.pipeline.store import ImageChoice, baked_image
from ingot.progress import Progress, settle


@dataclass(frozen=True)
class ShellOptions:
    """What runs. ``words``: a command; none: a script on the user's standard input, or a shell if that is a
    terminal. ``boot`` False: in the image's files, which are not booted.
    """

    words: Sequence[str] = ()
    boot: bool = True
    memory_mib: int = MEMORY_MIB


@dataclass(frozen=True)
class UserTerminal:
    """The user's end: standard input, the type of their terminal, and what writes to it."""

    keyboard: TextIO
    term: str
    output: Output

    def script(self, words: Sequence[str]) -> str | None:
        """Return what is to run: the words, or a script on standard input; None: a shell."""
        if words:
            return script_of(words)
        return None if self.keyboard.isatty() else self.keyboard.read()

    def run(self, channel: Channel, words: Sequence[str], progress: Progress) -> int:
        """Run it in the machine behind the channel; return its exit status."""
        script = self.script(words)
        if script is not None:
            progress("waiting until the boot has finished")  # emulated machines take minutes
            settle(progress)
            return run_script(channel, script, self.output)
        return open_shell(channel, self.keyboard.fileno(), self.term, self.output)


def shell(choice: ImageChoice, options: ShellOptions, user: UserTerminal, progress: Progress) -> int:
    """Open a shell, or run what there is to run, in a copy of an image; return the exit status.

    The name of the choice may be an instance id: then it is in that clone, or machine of this computer.
    Raises MissingToolError before it bakes; CloudError when the machine ends or does not answer.
    """
    if is_clone(choice.name):
        return _elsewhere(choice.name, options.words, user, progress)
    with terminate_as_interrupt():
        if not options.boot:
            image = baked_image(choice, progress)
            return enter(image, user.script(options.words), progress)
        require_tools()
        image = baked_image(choice, progress)
        boot = BootOptions(tests=False, memory_mib=options.memory_mib, inspected=True)
        with booted(image, progress, boot) as machine, machine.channel as channel:
            if not options.words and user.keyboard.isatty():
                progress("waiting for its shell; `exit` or Ctrl-] ends it, and nothing of it is kept")
            require_answer(channel, ANSWER_LIMIT)
            settle(progress)
            return user.run(channel, options.words, progress)


def _elsewhere(instance_id: str, words: Sequence[str], user: UserTerminal, progress: Progress) -> int:
    machine = machines.find(instance_id)
    if machine is None:
        from ingot.aws.session.clients import connect

        return session(connect(), instance_id, words)
    with machine.channel() as channel:
        require_answer(channel, ANSWER_LIMIT)
        return user.run(channel, words, progress)
