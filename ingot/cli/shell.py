"""``ingot shell``: a root shell in a copy of an image, in a machine that was booted, or in a clone."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from ingot.cli.terminal.reporting import Reporter
from ingot.cli.usage.options import Environment, Memory, Recipes, image_names, without_slash
from ingot.interrupts import terminate_as_interrupt
from ingot.machines.qemu import require_tools
from ingot.paths import RECIPES
from ingot.pipeline.boot import MEMORY_MIB, BootOptions, booted
from ingot.pipeline.inspection import machines
from ingot.pipeline.inspection.channel import Channel
from ingot.pipeline.inspection.clones import is_clone, session
from ingot.pipeline.inspection.shell import ANSWER_LIMIT, open_shell, require_answer, run_script, script_of
from ingot.pipeline.store import baked_image

app = typer.Typer(add_completion=False)


@app.command()
def shell(
    target: Annotated[
        str,
        typer.Argument(
            metavar="NAME|MACHINE|CLONE",
            callback=without_slash,
            autocompletion=image_names,
            help="A recipe or the digest of an image: boots a copy. The id of a machine that `ingot boot` "
            "runs, or of a clone: opens a shell there.",
        ),
    ],
    command: Annotated[
        list[str] | None,
        typer.Argument(help="Run this, after `--`, instead of a shell, once the boot has finished."),
    ] = None,
    no_boot: Annotated[
        bool, typer.Option("--no-boot", help="Open the image's files without booting them. Needs no QEMU.")
    ] = False,
    memory: Memory = MEMORY_MIB,
    env: Environment = None,
    recipes: Recipes = RECIPES,
) -> None:
    """Open a root shell in a copy of an image. The image stays as it is, and the copy is gone afterwards.

    `exit` or Ctrl-] ends the shell and the machine. Without a terminal, or with a command, it runs that and
    exits with its status; what the command prints, on both streams, is on stdout. A clone's shell is one of
    AWS Systems Manager, which `session_manager` switches on for a fleet; a command's status does not come
    back from there.

    Examples: `ingot shell web`, `ingot shell web -- systemctl --failed`, `ingot shell web < script.sh`,
    `ingot shell web --no-boot`, `ingot shell i-0123456789abcdef0`.
    """
    words = tuple(command or ())
    if is_clone(target):
        raise typer.Exit(_elsewhere(target, words))
    with Reporter() as report, terminate_as_interrupt():
        if no_boot:
            from ingot.pipeline.inspection.tree import enter

            image = baked_image(target, recipes, env, report)
            raise typer.Exit(enter(image, words, report, report.settle))
        require_tools()  # before a bake
        image = baked_image(target, recipes, env, report)
        options = BootOptions(tests=False, memory_mib=memory, inspected=True)
        with booted(image, report, options) as boot, boot.channel as channel:
            if not words and sys.stdin.isatty():
                report("waiting for its shell; `exit` or Ctrl-] ends it, and nothing of it is kept")
            require_answer(channel, ANSWER_LIMIT)
            report.settle()
            status = _run(channel, words)
    raise typer.Exit(status)


def _elsewhere(target: str, words: tuple[str, ...]) -> int:
    """Run the words or a shell in a machine of this computer, or in a clone; return the exit status."""
    machine = machines.find(target)
    if machine is None:
        from ingot.aws.session.clients import connect

        return session(connect(), target, words)
    with machine.channel() as channel:
        require_answer(channel, ANSWER_LIMIT)
        return _run(channel, words)


def _run(channel: Channel, words: tuple[str, ...]) -> int:
    """Run the words, or a script on stdin, or a shell; return the exit status."""
    if words or not sys.stdin.isatty():
        return run_script(channel, script_of(words) if words else sys.stdin.read(), _print)
    return open_shell(channel, sys.stdin.fileno(), os.environ.get("TERM", ""), _print)


def _print(data: bytes) -> None:
    """Write what the machine says. On a terminal it is the shell's; for a pipe every byte counts."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
