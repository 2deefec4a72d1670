"""What each test takes of the processors, with all that it starts: a plugin, loaded by `make costs`.

How long a test waits for its turn says little where several workers share two processors. What it takes of
them is a control group's account of the worker, its subprocesses, local clouds and machines; a cloud or a
machine that several tests share counts for the test that runs meanwhile.
"""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from bench.relay import own_group, processor_seconds

SHOWN = 60
KEY = "processor seconds"
# Before a conftest.py is imported: the CDK's Node.js starts with the import of aws_cdk.
GROUP = own_group("ingot-tests")


class Worker:
    """Tells with each report what its phase took."""

    def __init__(self, group: Path) -> None:
        self.group = group
        self.before = 0.0

    def pytest_runtest_logstart(self) -> None:
        self.before = processor_seconds(self.group)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Any:
        report = yield
        now = processor_seconds(self.group)
        report.user_properties.append((KEY, now - self.before))
        self.before = now
        return report

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        output = getattr(session.config, "workeroutput", {})
        output[KEY] = processor_seconds(self.group)


class Summary:
    """Adds up what the workers tell, and shows the dearest files and tests."""

    def __init__(self) -> None:
        self.begin = time.monotonic()
        self.tests: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        self.files: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        self.workers: list[float] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        seconds = [taken for name, taken in report.user_properties if name == KEY]
        for sums, key in ((self.tests, report.nodeid), (self.files, report.nodeid.partition("::")[0])):
            sums[key][0] += sum(seconds[-1:])
            sums[key][1] += report.duration

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self.workers.append(node.workeroutput.get(KEY, 0.0) if hasattr(node, "workeroutput") else 0.0)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        write = terminalreporter.write_line
        for what, sums in (("files", self.files), ("tests", self.tests)):
            terminalreporter.section(f"the dearest {what}: seconds of the processors, of the wall")
            for name, (taken, wall) in sorted(sums.items(), key=lambda entry: -entry[1][0])[:SHOWN]:
                write(f"{taken:8.1f} {wall:8.1f}  {name}")
        inside = sum(taken for taken, _ in self.files.values())
        write("")
        write(
            f"{inside:.0f} s of the processors in tests, {max(0.0, sum(self.workers) - inside):.0f} s besides"
            f" in {len(self.workers)} workers; {time.monotonic() - self.begin:.0f} s in all"
        )


def pytest_configure(config: pytest.Config) -> None:
    """Account for this process, unless workers run the tests; sum up, unless this is a worker."""
    is_worker = hasattr(config, "workerinput")
    if GROUP is None:
        raise pytest.UsageError("no control group can be made here: costs are counted as root")
    if is_worker or not config.getoption("numprocesses", None):
        config.pluginmanager.register(Worker(GROUP))
    if not is_worker:
        config.pluginmanager.register(Summary())


def pytest_unconfigure() -> None:
    """Leave the control group, and remove it with those of workers that have ended."""
    if GROUP is not None:
        (GROUP.parent / "cgroup.procs").write_text("0")
        for group in GROUP.parent.glob("ingot-tests-*"):
            with contextlib.suppress(OSError):  # it has processes
                group.rmdir()
