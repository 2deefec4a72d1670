"""A builder instance, from its launch to the AMI: how much of the time is its work (boot,
bake, upload), how much is not.

It is a real machine in a local cloud of its own, with `ingot publish` as anybody runs it. Without KVM this
takes minutes, so it runs once, whatever the number of runs.
"""

from __future__ import annotations

import re

from bench.subject import ROOT, Settings, Table
from bench.subjects.cdk import ACCOUNT, INGOT, REGION, cdk_cli, cloud_variables, free_port, own_environment
from bench.subjects.ingot import Ingot
from ingot import process
from ingot.progress import Progress

WORK = ("boot", "bake", "upload")
LIMIT = 3600.0  # seconds


def run(settings: Settings, report: Progress) -> list[Table]:
    """Measure and return one table."""
    Ingot(settings)  # the packages of this machine's store are in the new home
    environment = own_environment(settings.work)
    report("setting up: a local cloud with the builder's stack and a builder's image")
    _ingot(["cloud", "up", "--port", str(free_port())], environment)
    try:
        environment |= cloud_variables(environment)
        out = ["--output", str(settings.work / "out")]
        cdk_cli(["bootstrap", f"aws://{ACCOUNT}/{REGION}"], environment, settings.work)
        cdk_cli(["deploy", "IngotBuilder", "--require-approval", "never", *out], environment)
        image, _ = _ingot(["publish", "builder", "--builder", "host", "--no-test"], environment)
        report("a builder instance bakes and publishes the web recipe")
        words = ["publish", "web", "--no-test", "--builder", "instance", "--builder-image", image.strip()]
        _, log = _ingot(words, environment)
    finally:
        _ingot(["cloud", "down"], environment)
    return [table(*spans_of(log))]


def _ingot(words: list[str], environment: dict[str, str]) -> tuple[str, str]:
    """Run Ingot; return its output and its log. Raises SystemExit with its last words."""
    done = process.run([*INGOT, *words], cwd=ROOT, env=environment, timeout=LIMIT, check=False)
    if done.returncode != 0:
        raise SystemExit(f"ingot {' '.join(words)}\n{done.stderr[-3000:]}")
    return done.stdout, done.stderr


def spans_of(log: str) -> tuple[float, dict[str, float]]:
    """Read the log of `ingot publish`: the seconds from the launch to the AMI, and what took them."""
    line = re.search(r"launch to AMI ([\d.]+) s: (.*?); before the launch", log)
    if line is None:
        raise SystemExit(f"`ingot publish` did not say how long it took:\n{log[-3000:]}")
    return float(line[1]), {name: float(value) for name, value in re.findall(r"(\w+) ([\d.]+) s", line[2])}


def table(whole: float, spans: dict[str, float]) -> Table:
    """Return the table of one publish."""
    work = sum(spans.get(name, 0.0) for name in WORK)
    timings = Table("Builder instance: from its launch to the AMI", ["what", "seconds", "% of all"])
    rows = [*spans.items(), ("all", whole), (f"all but {', '.join(WORK)}", whole - work)]
    timings.rows += [[name, f"{seconds:.0f}", f"{100 * seconds / whole:.0f}"] for name, seconds in rows]
    timings.notes.append(
        f"The floor is the work itself, {work:.0f} s. The figure is 20 % beside it:"
        f" {100 * (whole - work) / whole:.0f} %."
    )
    timings.notes.append("The web recipe, no parent, all packages from the bucket; measured once.")
    return timings
