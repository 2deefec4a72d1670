"""``ingot shell``: a root shell in a copy of an image, in a machine that was booted, or in a clone."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from ingot.cli.terminal.reporting import Reporter
from ingot.cli.usage.options import Environment, Memory, Recipes, image_names, without_slash
from ingot.paths import RECIPES
from ingot.pipeline.boot import MEMORY_MIB
from ingot.pipeline.inspection.root_shell import ShellOptions, UserTerminal
from ingot.pipeline.inspection.root_shell import shell as run
from ingot.pipeline.store import ImageChoice

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
    options = ShellOptions(tuple(command or ()), boot=not no_boot, memory_mib=memory)
    user = UserTerminal(sys.stdin, os.environ.get("TERM", ""), _print)
    with Reporter() as report:
        status = run(ImageChoice(target, recipes, env), options, user, report)
    raise typer.Exit(status)


def _print(data: bytes) -> None:
    """Write what the machine says. On a terminal it is the shell's; for a pipe every byte counts."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
