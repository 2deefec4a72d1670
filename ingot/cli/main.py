"""``ingot``: finds the command, runs it, and turns errors into text and exit codes."""

from __future__ import annotations

import gc
import importlib
import sys
from typing import Annotated, Any, NoReturn

import typer

from ingot.cli.usage.mistakes import CommandGroup
from ingot.errors import IngotError

# Each command is a module of ingot.cli with a Typer app of the name `app`. It is imported when it is called:
# `ingot bake` with nothing to do must not wait for boto3.
COMMANDS = {
    "init": "Start a project, or add a recipe to one.",
    "up": "Start the local cloud and deploy the project to it.",
    "down": "Stop the local cloud and all its machines.",
    "check": "Validate recipes; report every problem at once.",
    "lock": "Resolve a recipe's packages and write its recipe.lock.",
    "digest": "Print a recipe's digest.",
    "bake": "Bake a recipe into a disk image.",
    "boot": "Boot a disk image alone, run the recipe's tests, print its URL.",
    "shell": "Open a root shell in a copy of an image, or in a clone.",
    "console": "Print the serial console of a clone or of a machine.",
    "logs": "Print the end of a clone's journal.",
    "show": "Show what is in a disk image.",
    "diff": "Show what differs between two images.",
    "plan": "Print what a merge would do.",
    "comment": "Write a plan as the one comment on a pull request.",
    "upgrade": "Propose newer packages: one pull request for each recipe.",
    "publish": "Publish a recipe's image as an AMI.",
    "deploy": "Publish what is missing, then run `cdk deploy`.",
    "archive": "Keep images in a bucket of your own.",
    "restore": "Publish an image from an archive, in any account and region.",
    "verify": "Compare clones or a published image with the manifest.",
    "status": "Show the load balancer and the clones of the fleet.",
    "cost": "Sum up what the stacks cost a month.",
    "prune": "Retire images that nothing uses.",
    "cloud": "Start, stop and use the local cloud.",
    "store": "Look after the store of packages, layers and images.",
    "man": "Print or install the manual pages.",
}


class LazyGroup(CommandGroup):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands in the order of the work."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import and return a command; None when there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        from ingot.cli.usage.help import dress

        module = importlib.import_module(f"ingot.cli.{cmd_name}")
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        dress(command)
        return command

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help from the table above, without importing the commands."""
        formatter.write_usage("ingot", "COMMAND [OPTIONS] …")
        formatter.write_paragraph()
        formatter.write_text("Golden images as code: bake, prove, publish, roll.")
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
        formatter.write_paragraph()
        formatter.write_text(
            "`ingot COMMAND --help` says more; `ingot --version` prints the version. "
            "Exit codes: 0 done, 1 failed, 2 bad input, 3 missing tool, 130 interrupted."
        )


INTERRUPTED = 130  # 128 + SIGINT, as shells say it

cli = typer.Typer(
    cls=LazyGroup,
    name="ingot",
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"ingot {version('ingot')}")
        raise typer.Exit


@cli.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Golden images as code."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    # Most commands live for a fraction of a second, of which looking for cycles among the classes that they
    # import takes 4 %.
    gc.set_threshold(100_000, 50, 100)
    # Without a command there is nothing to do but to say which there are.
    words = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        ended = cli(args=words, prog_name="ingot", standalone_mode=False)
    except Exception as error:
        from ingot.cli.failures.translation import translate

        failure = translate(error, words[0] if words[0] in COMMANDS else "")
        if failure is None:
            raise
        _fail(failure, words)
    # Typer makes a quiet exit code of KeyboardInterrupt.
    if ended == INTERRUPTED:
        print("error: interrupted", file=sys.stderr)
    sys.exit(ended if isinstance(ended, int) else 0)


def _fail(error: IngotError, words: list[str]) -> NoReturn:
    from ingot.cli.failures.text import error_json, error_text

    options = words[: words.index("--")] if "--" in words else words
    print((error_json if "--json" in options else error_text)(error), file=sys.stderr)
    sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
