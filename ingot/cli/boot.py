"""``ingot boot``: boot a disk image alone, run the recipe's tests against it, print its URL."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ingot.cli.terminal.printable import printable
from ingot.cli.terminal.reporting import Reporter
from ingot.cli.terminal.results import print_json
from ingot.cli.usage.options import AsJson, Environment, Memory, Recipes, image_names, without_slash
from ingot.paths import RECIPES
from ingot.pipeline.boot import MEMORY_MIB, BootListener, BootOptions, write_record
from ingot.pipeline.boot import boot as run
from ingot.pipeline.store import ImageChoice

if TYPE_CHECKING:
    from ingot.pipeline.inspection.findings import Findings
    from ingot.plan.boots import BootRecord

app = typer.Typer(add_completion=False)


@app.command()
def boot(
    name: Annotated[
        str,
        typer.Argument(
            callback=without_slash,
            autocompletion=image_names,
            help="The recipe, or the recipe digest of an image in the store.",
        ),
    ],
    no_tests: Annotated[bool, typer.Option("--no-tests", help="Do not run the recipe's tests.")] = False,
    keep: Annotated[
        bool,
        typer.Option(
            "--keep",
            help="Print how the boot went, keep the disk and the console, and print how to boot it again.",
        ),
    ] = False,
    memory: Memory = MEMORY_MIB,
    once: Annotated[
        bool,
        typer.Option("--once", help="End when the tests are done. Without a terminal this is the default."),
    ] = False,
    as_is: Annotated[
        bool,
        typer.Option(
            "--as-is", help="Boot the image itself, not a copy of it that can report how the boot went."
        ),
    ] = False,
    record: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write console and tests, with their times, as JSON.")
    ] = None,
    env: Environment = None,
    recipes: Recipes = RECIPES,
    as_json: AsJson = False,
) -> None:
    """Boot an image alone in QEMU and run the recipe's tests against it. Prints its URL and each test's
    result.

    If a test fails, and with --keep, it also prints which units failed, where the boot's time went, and the
    errors in the journal. While the machine runs, `ingot shell MACHINE` opens a root shell in it.

    With --json it ends when the tests are done, and prints console and tests, as --record writes them.

    Examples: `ingot boot web`, `ingot boot web --memory 4096`, `ingot boot web --once --keep`.
    """
    stay = not once and not as_json and sys.stdin.isatty()
    options = BootOptions(not no_tests, keep, memory, inspected=not as_is, stay=stay)
    with Reporter() as report:

        def show_record(result: BootRecord) -> None:
            if record is not None:
                write_record(result, record)
            if as_json:
                report.settle()
                print_json(result.to_json())

        def show_findings(findings: Findings) -> None:
            report.settle()
            print(printable(findings.text()), file=sys.stderr, flush=True)

        listener = BootListener(report if as_json else report.print, show_record, show_findings)
        run(ImageChoice(name, recipes, env), options, listener, report)
