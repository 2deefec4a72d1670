"""Text of others, made safe to print: for a terminal, and for the log of a CI runner."""

from __future__ import annotations

import re

# What GitHub's runner takes for a command to itself in a log: "::name::" at the start of a line, blanks
# before it or not, and "##[name]" anywhere (docs.github.com, "Workflow commands"; actions/runner,
# ActionCommand.cs).
_RUNNER_COMMAND = re.compile(r"((?:^|[\r\n])\s*:)(?=:)|(##)(?=\[)")


def printable(text: str) -> str:
    """Return text that can neither move a terminal's cursor nor command a CI runner.

    Names of files come from whoever wrote the recipe, and output from programs.
    """
    from ingot.escape import plain, without_colors  # not for a command that has nothing of others to print

    return without_runner_commands("\n".join(plain(line) for line in without_colors(text).split("\n")))


def without_runner_commands(text: str) -> str:
    """Return text in which a CI runner finds no command to itself, such as
    ``::add-mask::``: it gets a blank.
    """
    return _RUNNER_COMMAND.sub(lambda match: f"{match[0]} ", text)
