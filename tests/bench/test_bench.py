import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench import machine, results
from bench.__main__ import main
from bench.measure import BLOCK, Case, FailedRunError, differing_blocks, interleaved, measure
from bench.subject import ROOT, Table, spread
from bench.subjects import SUBJECTS, builder


def test_every_subject_is_a_module_with_a_run():
    for name, what in SUBJECTS.items():
        assert (ROOT / "bench" / "subjects" / f"{name}.py").is_file()
        assert what.endswith(".")


def test_a_run_is_measured_with_all_its_children(tmp_path):
    script = (
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'x = bytearray(300 << 20);"
        " sum(range(3000000))'])"
    )
    sample = measure(Case("x", [sys.executable, "-c", script]), tmp_path / "log")
    assert sample.memory > 300 << 20
    assert sample.cpu > 0
    assert sample.wall > 0
    assert sample.blocks is None


def test_the_memory_of_the_benchmark_itself_does_not_count(tmp_path):
    kept = bytearray(300 << 20)
    sample = measure(Case("x", ["true"]), tmp_path / "log")
    assert sample.memory < 100 << 20 < len(kept)


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a control group")
def test_the_time_of_programs_that_nobody_waits_for_counts(tmp_path):
    """A bake lets the kernel reap its programs: getrusage(2) has nothing of them."""
    script = (
        "import os, signal, time; signal.signal(signal.SIGCHLD, signal.SIG_IGN); child = os.fork();"
        " child or sum(range(60_000_000)); child or os._exit(0); os.waitid(os.P_ALL, 0, os.WEXITED)"
    )
    command = [sys.executable, "-c", f"try: exec({script!r})\nexcept ChildProcessError: pass"]
    others = set(Path("/sys/fs/cgroup").glob("**/ingot-bench-*"))  # of benchmarks that run, or were killed
    sample = measure(Case("x", command), tmp_path / "log")
    assert sample.cpu > 0.4, "the child's, who counts; its parent starts and waits"
    assert set(Path("/sys/fs/cgroup").glob("**/ingot-bench-*")) <= others


def test_a_failed_run_is_told_with_its_end(tmp_path):
    with pytest.raises(FailedRunError, match="it: exit status 3\nthe end"):
        measure(Case("it", ["sh", "-c", "echo the end; exit 3"]), tmp_path / "log")


def test_cases_take_turns(tmp_path):
    order = []
    cases = [Case(name, ["true"], lambda name=name: order.append(name)) for name in "ab"]
    samples = interleaved(cases, 2, tmp_path, lambda _: None)
    assert order == ["a", "b", "a", "b"]
    assert [len(found) for found in samples.values()] == [2, 2]


def test_differing_blocks(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"a" * BLOCK + b"b" * BLOCK)
    other.write_bytes(b"a" * BLOCK + b"c" * BLOCK + b"d")
    assert differing_blocks(one, other) == 2


def test_the_median_stands_before_the_ends():
    assert spread([3.0, 1.0, 2.0]) == "2.00 (1.00–3.00)"


def test_what_a_publish_tells_of_its_builder_becomes_a_table():
    summary = (
        "launch to AMI 200 s: boot 20 s, fetch 10 s, bake 100 s, upload 50 s, other 20 s (10 %); before the"
        " launch 2 s\n"
    )
    whole, spans = builder.spans_of(f"AMI ami-1 registered\n{summary}")
    assert (whole, spans) == (200, {"boot": 20, "fetch": 10, "bake": 100, "upload": 50, "other": 20})
    text = builder.table(whole, spans).markdown()
    assert "| bake | 100 | 50 |" in text
    assert "The figure is 20 % beside it: 15 %." in text


def test_a_publish_that_tells_nothing_of_its_builder_is_shown():
    with pytest.raises(SystemExit, match="did not say how long it took:\nis published already"):
        builder.spans_of("is published already")


def test_a_table_is_markdown():
    table = Table("T", ["a", "b"], [["1", "2"]], ["note"])
    assert table.markdown() == "## T\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\n- note\n"


def test_the_machine_is_described_without_a_name_or_a_path(tmp_path):
    text = machine.describe(tmp_path)
    assert re.search(r"\d+ cores; memory \d+ GiB", text)
    assert str(tmp_path) not in text
    assert subprocess.run(["hostname"], capture_output=True, text=True).stdout.strip() not in text


def test_an_unknown_subject_is_named(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--only", "nothing"])
    assert caught.value.code == 2
    assert "no subject nothing; there are bake, dependencies" in capsys.readouterr().err


def test_a_subject_that_is_measured_anew_leaves_the_others_as_they_are():
    old = results.page(
        {name: results.part(name, 3, "Then.", [f"## {name}\n\n- old\n"]) for name in ("boot", "bake")}
    )
    found = results.parts(old)
    found["boot"] = results.part("boot", 1, "Now.", ["## boot\n\n- new\n"])
    text = results.page(found)
    assert results.parts(text) == found
    assert text.index("## bake\n\n- old\n\n3 runs of each case. Then.") < text.index(
        "## boot\n\n- new\n\nOne run of each case. Now."
    )
    assert text.count("# Measured side by side") == 1
