"""``ingot boot``: boot a disk image alone, run the recipe's tests against it, print its URL."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ingot.cli.options import Environment, image_names, without_slash
from ingot.cli.reporting import Reporter
from ingot.interrupts import terminate_as_interrupt
from ingot.machines.qemu import require_tools
from ingot.paths import RECIPES
from ingot.pipeline.boot import MEMORY_MIB, booted, run_tests
from ingot.pipeline.images import baked_image

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
        typer.Option("--keep", help="Keep the machine's disk and console, and say how to boot it again."),
    ] = False,
    memory: Annotated[
        int, typer.Option(min=256, metavar="MIB", help="Memory of the machine, in MiB.")
    ] = MEMORY_MIB,
    once: Annotated[
        bool,
        typer.Option("--once", help="End when the tests are done. Without a terminal this is the default."),
    ] = False,
    record: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write console and tests, with their times, as JSON.")
    ] = None,
    env: Environment = None,
    recipes: Annotated[Path, typer.Option(help="The directory of the recipes.")] = RECIPES,
) -> None:
    """Boot an image alone in QEMU and run the recipe's tests against it. Prints its URL and each test's
    result.
    """
    require_tools()  # before a bake
    with Reporter() as report, terminate_as_interrupt():
        image = baked_image(name, recipes, env, report)
        with booted(image, report, tests=not no_tests, keep=keep, memory_mib=memory) as machine:
            print(machine.url, flush=True)
            try:
                if not no_tests:
                    run_tests(machine, lambda result: print(result, flush=True), report)
            finally:
                if record is not None:
                    machine.watch.write(record)
            if once or not sys.stdin.isatty():
                return
            report("press Ctrl-C to end it")
            try:
                machine.wait()
            except KeyboardInterrupt:
                report("ends")
