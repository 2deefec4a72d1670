"""``ingot boot``: boot a disk image alone, run the recipe's tests against it, print its URL."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ingot.cli.terminal.printable import printable
from ingot.cli.terminal.reporting import Reporter
from ingot.cli.terminal.results import print_json
from ingot.cli.usage.options import AsJson, Environment, Memory, Recipes, image_names, without_slash
from ingot.errors import VerificationError
from ingot.interrupts import terminate_as_interrupt
from ingot.machines.qemu import require_tools
from ingot.paths import RECIPES
from ingot.pipeline.boot import MEMORY_MIB, Boot, BootOptions, booted, run_tests
from ingot.pipeline.store import baked_image

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
    require_tools()  # before a bake
    options = BootOptions(tests=not no_tests, keep=keep, memory_mib=memory, inspected=not as_is)
    with Reporter() as report, terminate_as_interrupt():
        image = baked_image(name, recipes, env, report)
        with booted(image, report, options) as machine:
            tell = report if as_json else report.print
            tell(machine.url)
            try:
                if not no_tests:
                    run_tests(machine, lambda result: tell(str(result)), report)
            except VerificationError:
                _show_findings(machine, report)
                raise
            finally:
                if record is not None:
                    machine.watch.write(record)
                if as_json:
                    report.settle()
                    print_json(machine.watch.record().to_json())
            if keep:
                _show_findings(machine, report)
            if once or as_json or not sys.stdin.isatty():
                return
            if not as_is:
                report(f"a root shell in it: ingot shell {machine.machine.spec.instance_id}")
            report("press Ctrl-C to end it")
            try:
                machine.wait()
            except KeyboardInterrupt:
                report("ends")


def _show_findings(machine: Boot, report: Reporter) -> None:
    """Print on stderr how the boot went, if the machine can say."""
    if machine.token is None:
        return
    report("asking the machine how the boot went")
    findings = machine.findings()
    report.settle()
    if findings is not None:
        print(printable(findings.text()), file=sys.stderr, flush=True)
