"""Booting an image alone in QEMU and running its recipe's tests, with a record that reports draw."""

from __future__ import annotations

import json
import secrets
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

from ingot.aws.instances.console import PANIC, TEST, last_line, tail
from ingot.errors import CloudError, VerificationError
from ingot.files import write_output
from ingot.interrupts import terminate_as_interrupt
from ingot.machines.alone import Hardware, booted_alone
from ingot.machines.machine import Machine
from ingot.machines.qemu import CONSOLE, DISK, DataDisk, again, require_tools
from ingot.pipeline.inspection import machines
from ingot.pipeline.inspection.channel import Channel
from ingot.pipeline.inspection.copy import InspectedDisk, copy_disk
from ingot.pipeline.inspection.findings import Findings, ask
from ingot.pipeline.store import ImageChoice, baked_image
from ingot.plan.boots import BootRecord, Outcome
from ingot.progress import Progress, settle
from ingot.store import Image, Store

MEMORY_MIB = Hardware.memory_mib
# Seconds from power-on: a clone answers after about 20 under TCG on an idle machine, its own tests follow.
ANSWER_LIMIT = 300.0
# QEMU's commit cb62bd15e14e; see ingot.machines.alone.
PANIC_HINT = (
    "the kernel panicked in an emulated machine: QEMU before 8.1 now and then runs an instruction that "
    "another emulated processor has just replaced. Boot it again; a panic that comes each time is the image's"
)
# Seconds for which a wrong answer stays the same until it counts; as in the image:
# ingot/bake/image/rootfs/tests.pl.
STEADY = 60.0
SAY_EVERY = 15.0
POLL = 0.5
# Seconds between two looks at the console: how exact the times of its lines are.
LOOK = 0.2
# The machine is on loopback: a proxy that the environment names has no way to it.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class BootWatch:
    """Watches a machine from its power-on: when each line of its console came, and when each test ended.

    Use it as a context manager. Times are seconds since it was entered.
    """

    def __init__(self, image: Image, machine: Machine) -> None:
        self.image = image
        self.machine = machine
        self.tests: list[Outcome] = []
        self.lines: list[tuple[float, str]] = []
        self._rest = b""
        self._read = 0
        self._start = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> BootWatch:
        self._start = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        ended = False
        while not ended:
            ended = self._over.wait(LOOK)
            self._look()

    def _look(self) -> None:
        try:
            with (self.machine.directory / CONSOLE).open("rb") as file:
                file.seek(self._read)
                new = file.read()
        except FileNotFoundError:  # it has said nothing yet
            return
        self._read += len(new)
        *whole, self._rest = (self._rest + new).split(b"\n")
        at = self._now()
        self.lines += [(at, line.decode(errors="replace").rstrip("\r")) for line in whole]

    def _now(self) -> float:
        return round(time.monotonic() - self._start, 2)

    def ended(self, name: str, problem: str | None, where: str) -> Outcome:
        """Note that a test ended, and return its result."""
        result = Outcome(name, problem, where, self._now())
        self.tests.append(result)
        return result

    def record(self) -> BootRecord:
        """Return the record of the boot, with what the console said so far."""
        return BootRecord(
            recipe=self.image.name,
            digest=self.image.digest,
            machine=f"QEMU, {self.machine.accelerator}",
            seconds=self._now(),
            tests=tuple(self.tests),
            lines=tuple(self.lines),
        )


@dataclass(frozen=True)
class Boot:
    """A machine that boots an image. It has ended when the context of :func:`booted` is left.

    ``token`` is that of its answers; None where it cannot be asked from outside.
    """

    image: Image
    machine: Machine
    watch: BootWatch
    token: str | None = None

    @property
    def url(self) -> str:
        """Where its port 80 is, on this machine."""
        return f"http://127.0.0.1:{self.machine.forward(80)}/"

    def wait(self) -> None:
        """Wait until the machine ends."""
        self.machine.wait()

    @property
    def channel(self) -> Channel:
        """A new connection to the machine, which must be an inspected one."""
        assert self.token is not None  # noqa: S101 - the caller asked for it
        return Channel(self.machine.directory, self.token)

    def findings(self) -> Findings | None:
        """Ask the machine how its boot went; None where it cannot be asked, or does not answer."""
        if self.token is None or not self.machine.running:
            return None
        try:
            with self.channel as channel:
                return ask(channel)
        except CloudError:  # it has just ended, or another command has the connection
            return None


@dataclass(frozen=True)
class BootOptions:
    """How an image boots. ``tests``: it runs its own. ``keep`` leaves the machine's files where they are, and
    says how to boot its disk again. ``inspected``: it boots a copy that can be asked from outside
    (:mod:`ingot.pipeline.inspection`). ``stay``: the machine runs on when its tests are done.
    """

    tests: bool = True
    keep: bool = False
    memory_mib: int = MEMORY_MIB
    inspected: bool = False
    stay: bool = False


@dataclass(frozen=True)
class BootListener:
    """Whom a boot tells what comes.

    ``line`` takes the machine's URL and the result of each test; ``record`` what there is to know when the
    tests are done, passed or not; ``findings`` how the boot went, when a test failed or the machine is kept.
    """

    line: Progress
    record: Callable[[BootRecord], None]
    findings: Callable[[Findings], None] = lambda _: None


def boot(choice: ImageChoice, options: BootOptions, listener: BootListener, progress: Progress) -> None:
    """Boot an image, baked unless the store has it, and run its tests; with ``stay`` until it is interrupted.

    Raises MissingToolError before it bakes, VerificationError when a test failed, and as :func:`booted`.
    """
    require_tools()
    with terminate_as_interrupt():
        boot_image(baked_image(choice, progress), options, listener, progress)


def boot_image(image: Image, options: BootOptions, listener: BootListener, progress: Progress) -> None:
    """Boot an image of the store likewise."""
    with booted(image, progress, options) as machine:
        listener.line(machine.url)
        try:
            if options.tests:
                run_tests(machine, lambda result: listener.line(str(result)), progress)
        except VerificationError:
            _report_findings(machine, listener, progress)
            raise
        finally:
            listener.record(machine.watch.record())
        if options.keep:
            _report_findings(machine, listener, progress)
        if not options.stay:
            return
        if options.inspected:
            progress(f"a root shell in it: ingot shell {machine.machine.spec.instance_id}")
        progress("press Ctrl-C to end it")
        settle(progress)  # nothing goes on that a live line could show
        try:
            machine.wait()
        except KeyboardInterrupt:
            progress("ends")


def _report_findings(machine: Boot, listener: BootListener, progress: Progress) -> None:
    if machine.token is None:
        return
    progress("asking the machine how the boot went")
    findings = machine.findings()
    if findings is not None:
        listener.findings(findings)


def write_record(record: BootRecord, path: Path) -> None:
    """Write the record of a boot as JSON, for reports."""
    write_output(path, json.dumps(record.to_json()) + "\n")


@contextmanager
def booted(image: Image, progress: Progress, options: BootOptions = BootOptions()) -> Iterator[Boot]:
    """Boot ``image``.

    Raises MissingToolError without QEMU, or what an inspected copy needs; CloudError when the machine does
    not start.
    """
    architecture = str(image.manifest["architecture"])
    require_tools(architecture)
    hardware = Hardware(architecture, options.memory_mib, data=data_disks(image.manifest))
    # Without a fleet there is nobody to say the values of its configuration.
    user_data = {"ingot": {"test": True} if options.tests else {"examples": True}}
    with Store().using(image), _disk_of(image, options) as inspected:
        disk = image.disk if inspected is None else inspected.disk
        hardware = replace(hardware, channel=inspected is not None)
        with booted_alone(
            disk, machines.directory(), user_data=user_data, hardware=hardware, keep=options.keep
        ) as machine:
            machines.record(machine.directory, image, inspected)
            console = machine.directory / CONSOLE
            name = f"{image.name} {image.digest[:12]}"
            progress(f"{name} boots as {machine.spec.instance_id}; its console: {console}")
            try:
                with BootWatch(image, machine) as watch:
                    yield Boot(image, machine, watch, None if inspected is None else inspected.token)
            finally:
                if options.keep:
                    progress(kept(machine))


@contextmanager
def _disk_of(image: Image, options: BootOptions) -> Iterator[InspectedDisk | None]:
    """Give the copy of an image that can be asked; None where the image itself boots."""
    if not options.inspected:
        yield None
        return
    directory = machines.directory() / "copies"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    copy = directory / f"{image.digest[:12]}-{secrets.token_hex(4)}.raw"
    try:
        yield copy_disk(image.disk, copy)
    finally:
        if not options.keep:
            copy.unlink(missing_ok=True)


def data_disks(manifest: Mapping[str, Any]) -> tuple[DataDisk, ...]:
    """Return the blank volumes that an image's recipe declares; their ids are made up."""
    return tuple(
        DataDisk(str(volume["device"]).removeprefix("/dev/"), f"vol-{number:017x}", int(volume["size"]))
        for number, volume in enumerate(manifest.get("volumes", ()), 1)
    )


def kept(machine: Machine) -> str:
    """Say where the disk of a machine is and how it boots again: without Ingot, with a console to log in."""
    spec, directory = machine.spec, machine.directory
    words = again(spec, directory)
    return (
        f"kept: {directory / DISK}, an overlay of {spec.base}\n"
        f"  boot it again, its console in this terminal (Ctrl-A X ends it):\n  {words}"
    )


def run_tests(boot: Boot, result: Callable[[Outcome], None], progress: Progress) -> None:
    """Run all tests of the image, and call ``result`` as each ends.

    Raises VerificationError with the console's end if one failed.
    """
    machine, watch, tests = boot.machine, boot.watch, boot.image.manifest["tests"]
    end = time.monotonic() + ANSWER_LIMIT
    for name, problem in answers_outside([test for test in tests if "http" in test], machine, end, progress):
        result(watch.ended(name, problem, "outside"))
    progress("waits for the tests that run inside")
    line = _inside(machine, end + sum(float(test.get("timeout", 60)) for test in tests))
    if line is None:
        result(watch.ended("tests inside", "no valid ingot-test line on the console", "inside"))
    else:
        for test in line["results"]:
            problem = None if test["ok"] else str(test.get("detail", "failed"))
            result(watch.ended(str(test["name"]), problem, "inside"))
    failed = {test.name for test in watch.tests if not test.ok}
    if failed:
        console = machine.console()[0].decode(errors="replace")
        hint = PANIC_HINT if PANIC in console and machine.accelerator == "tcg" else None
        raise VerificationError(
            f"{len(failed)} of the image's tests failed; the end of its console:\n{tail(console)}", hint=hint
        )


def _inside(machine: Machine, end: float) -> dict[str, Any] | None:
    """Wait for the console line with the results of the tests inside; None when it does not come."""
    while True:
        ended = machine.wait(POLL)
        line = last_line(machine.console()[0].decode(errors="replace"), TEST)
        if line is not None or ended or time.monotonic() > end:
            return line


def answers_outside(
    tests: list[dict[str, Any]], machine: Machine, end: float, progress: Progress
) -> Iterator[tuple[str, str | None]]:
    """Make all requests in turn; yield each test's name as soon as it passed or is given up, with what is
    wrong then.
    """
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
            progress(
                "; ".join(f"waits for the test {name!r}: {last}" for name, (_, last, _) in waiting.items())
            )


def _ask_once(wanted: Mapping[str, Any], machine: Machine) -> tuple[str | None, bool]:
    """Return what is wrong, and whether the app itself answered: silence, and the error of one that starts,
    do not count.
    """
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
