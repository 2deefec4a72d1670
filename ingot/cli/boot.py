"""``ingot boot``: boot a disk image alone, run the recipe's tests against it, print its URL."""

from __future__ import annotations

import re
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from ingot import paths
from ingot.aws.builder.console import TEST, last_line, tail
from ingot.cli.boot_record import BootRecord
from ingot.cli.options import Environment, without_slash
from ingot.cli.reporting import Reporter
from ingot.errors import InputError, VerificationError
from ingot.machines.alone import booted_alone
from ingot.machines.machine import Machine
from ingot.machines.qemu import require_tools
from ingot.progress import Progress
from ingot.recipe.load import find_recipe, load_recipe
from ingot.store import Image, Store

app = typer.Typer(add_completion=False)

# Seconds from power-on: a clone answers after about 20 under TCG on an idle machine, its own tests follow.
ANSWER_LIMIT = 300.0
# Seconds for which a wrong answer stays the same until it counts; as in the image: ingot/bake/image/rootfs/tests.pl.
STEADY = 60.0
SAY_EVERY = 15.0
POLL = 0.5
DIGEST = re.compile(r"[0-9a-f]{64}")
# The machine is on loopback: a proxy that the environment names has no way to it.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@app.command()
def boot(
    name: Annotated[
        str,
        typer.Argument(
            callback=without_slash, help="The recipe, or the recipe digest of an image in the store."
        ),
    ],
    no_tests: Annotated[bool, typer.Option("--no-tests", help="Do not run the recipe's tests.")] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the machine's disk and console, and say where.")
    ] = False,
    once: Annotated[
        bool,
        typer.Option("--once", help="End when the tests are done. Without a terminal this is the default."),
    ] = False,
    record: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write console and tests, with their times, as JSON.")
    ] = None,
    env: Environment = None,
    recipes: Annotated[Path, typer.Option(help="The directory of the recipes.")] = Path("image_recipes"),
) -> None:
    """Boot an image alone in QEMU and run the recipe's tests against it. Prints its URL and each test's result."""
    require_tools()
    signal.signal(signal.SIGTERM, _interrupt)
    with Reporter() as report:
        image = _image(name, recipes, env, report)
        user_data = None if no_tests else {"ingot": {"test": True}}
        with (
            Store().using(image),
            booted_alone(image.disk, paths.home() / "boot", user_data=user_data, keep=keep) as machine,
        ):
            url = f"http://127.0.0.1:{machine.forward(80)}/"
            report(
                f"{image.name} {image.digest[:12]} boots; its console: {machine.directory / 'console.log'}"
            )
            print(url, flush=True)
            with BootRecord(image, machine) as log:
                try:
                    if not no_tests:
                        _test(image.manifest["tests"], machine, log, report)
                finally:
                    if record is not None:
                        log.write(record)
            if once or not sys.stdin.isatty():
                return
            report("press Ctrl-C to end it")
            try:
                machine.wait()
            except KeyboardInterrupt:
                report("ends")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _image(name: str, recipes: Path, env: str | None, report: Progress) -> Image:
    """Return the image with that digest, or bake the recipe of that name unless the store has it."""
    store = Store()
    if DIGEST.fullmatch(name):
        image = store.image(name)
        if image is None:
            raise InputError(
                f"the store has no image with the recipe digest {name}", hint="list them with: ingot store"
            )
        return image
    return store.bake(load_recipe(find_recipe(recipes, name), env), report)


def _test(tests: list[dict[str, Any]], machine: Machine, log: BootRecord, report: Progress) -> None:
    """Run all tests, print each result; raise VerificationError with the console's end if one failed."""
    end = time.monotonic() + ANSWER_LIMIT
    failed = set()
    for name, problem in _outside([test for test in tests if "http" in test], machine, end, report):
        if _told(name, problem, log, "outside"):
            failed.add(name)
    report("waits for the tests that run inside")
    line = _inside(machine, end + sum(float(test.get("timeout", 60)) for test in tests))
    if line is None:
        _told("tests inside", "no valid ingot-test line on the console", log, "inside")
        failed.add("tests inside")
    else:
        for result in line["results"]:
            problem = None if result["ok"] else str(result.get("detail", "failed"))
            if _told(str(result["name"]), problem, log, "inside"):
                failed.add(result["name"])
    if failed:
        end_of_console = tail(machine.console()[0].decode(errors="replace"))
        raise VerificationError(
            f"{len(failed)} of the image's tests failed; the end of its console:\n{end_of_console}"
        )


def _told(name: str, problem: str | None, log: BootRecord, where: str) -> bool:
    """Print and record how a test ended; say whether it failed."""
    log.test(name, problem, where)
    name += " (from outside)" if where == "outside" else ""
    print(f"ok      {name}" if problem is None else f"FAILED  {name}: {problem}", flush=True)
    return problem is not None


def _inside(machine: Machine, end: float) -> dict[str, Any] | None:
    """Wait for the console line with the results of the tests inside; None when it does not come."""
    while True:
        ended = machine.wait(POLL)
        line = last_line(machine.console()[0].decode(errors="replace"), TEST)
        if line is not None or ended or time.monotonic() > end:
            return line


def _outside(
    tests: list[dict[str, Any]], machine: Machine, end: float, report: Progress
) -> Iterator[tuple[str, str | None]]:
    """Ask for all of them in turn; yield each as soon as it passed, or when no more is to be expected, with what is wrong then."""
    waiting = {test["name"]: (test["http"], "no answer", time.monotonic()) for test in tests}
    said = time.monotonic()
    while waiting:
        ended = machine.wait(POLL)
        for name, (wanted, before, since) in list(waiting.items()):
            problem, answered = ("the machine ended", True) if ended else _ask_once(wanted, machine)
            now = time.monotonic()
            since = since if problem == before else now
            waiting[name] = wanted, problem or "", since
            if problem is None or ended or now > end or (answered and now - since > STEADY):
                del waiting[name]
                yield name, problem
        if waiting and time.monotonic() - said > SAY_EVERY:
            said = time.monotonic()
            report(
                "; ".join(f"waits for the test {name!r}: {last}" for name, (_, last, _) in waiting.items())
            )


def _ask_once(wanted: Mapping[str, Any], machine: Machine) -> tuple[str | None, bool]:
    """Return what is wrong, and whether that is an answer of the app itself: not silence, not the error of one that still starts."""
    url = f"http://127.0.0.1:{machine.forward(int(wanted.get('port', 80)))}{wanted.get('path', '/')}"
    try:
        with DIRECT.open(url, timeout=10) as answer:
            status, body = answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        status, body = error.code, error.read().decode(errors="replace")
    except OSError as error:  # refused, reset, silent: it is not up yet
        return f"no answer: {error}", False
    if status != int(wanted.get("status", 200)):
        return (
            f"status {status} instead of {wanted.get('status', 200)}",
            status < HTTPStatus.INTERNAL_SERVER_ERROR,
        )
    contains = wanted.get("contains")
    if contains and contains not in body:
        return f"the answer does not contain {contains!r}", True
    return None, True
