"""``python -m bench [--only SUBJECT] [--runs N]``: measure, and write bench/RESULTS.md."""

from __future__ import annotations

import argparse
import compileall
import importlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench import machine, results
from bench.subject import ROOT, Settings
from bench.subjects import SUBJECTS

RESULTS = ROOT / "bench" / "RESULTS.md"


def main(arguments: list[str] | None = None) -> int:
    """Measure the subjects that were asked for; print and write their tables."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--only", default="", help=f"subjects, with commas between: {', '.join(SUBJECTS)}")
    parser.add_argument("--runs", type=int, default=3, help="how often each case is run (3)")
    parser.add_argument("--no-peers", action="store_true", help="leave out the programs of others")
    parser.add_argument("--output", type=Path, default=RESULTS, help="the file for the results")
    options = parser.parse_args(arguments)
    subjects = [name for name in options.only.split(",") if name] or list(SUBJECTS)
    if unknown := [name for name in subjects if name not in SUBJECTS]:
        parser.error(f"no subject {unknown[0]}; there are {', '.join(SUBJECTS)}")
    if os.geteuid() != 0 and not options.no_peers:
        parser.error("the peers need root; run it as root, or with --no-peers")
    known = options.output.read_text(encoding="utf-8") if options.output.exists() else ""
    found = results.parts(known)
    for name, part in measure(subjects, runs=options.runs, peers=not options.no_peers):
        print(part)
        found[name] = part
        # Each as it comes: hours of measuring are not lost with the last subject.
        options.output.write_text(results.page(found), encoding="utf-8")
    return 0


def measure(subjects: list[str], *, runs: int, peers: bool) -> Iterator[tuple[str, str]]:
    """Yield each of ``subjects`` with its results as Markdown."""
    start = time.monotonic()

    def report(message: str) -> None:
        print(f"{time.monotonic() - start:7.1f} s  {message}", file=sys.stderr, flush=True)

    # Where PYTHONDONTWRITEBYTECODE is set, each run would compile what changed since the set-up.
    compileall.compile_dir(ROOT / "ingot", quiet=2)
    with tempfile.TemporaryDirectory(prefix="ingot-bench-") as directory:
        work = Path(directory)
        for name in subjects:
            report(f"measuring {name}")
            module = importlib.import_module(f"bench.subjects.{name}")
            (work / name).mkdir()
            described = machine.describe(work)  # before it: the load is what the subject found
            settings = Settings(work / name, runs=runs, peers=peers)
            tables = [table.markdown() for table in module.run(settings, report)]
            yield name, results.part(name, runs, described, tables)


if __name__ == "__main__":
    sys.exit(main())
