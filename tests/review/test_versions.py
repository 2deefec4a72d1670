import random
import shutil
import subprocess
from itertools import pairwise

import pytest

from ingot.diff.packages.versions import compare_versions

# From the oldest to the newest: Debian Policy 5.6.12 and deb-version(7).
ORDER = ["0~~", "0~~a", "0~", "0", "0-0.1", "0-1~bpo1", "0-1", "0-1+b1", "0-1.1", "0a", "0+", "0.1", "1", "1.0", "1.0a", "1.1", "1.1+b1", "1.9", "1.10", "2-1", "10", "1:0"]  # fmt: skip


@pytest.mark.parametrize(("older", "newer"), list(pairwise(ORDER)))
def test_order(older, newer):
    assert compare_versions(older, newer) == -1
    assert compare_versions(newer, older) == 1
    assert compare_versions(older, older) == 0


@pytest.mark.parametrize(("one", "other"), [("1", "1-0"), ("0:1", "1"), ("1.00", "1.0"), ("1.", "1.0")])
def test_equal_though_spelled_apart(one, other):
    assert compare_versions(one, other) == 0


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="dpkg is the judge")
def test_dpkg_agrees():
    chance = random.Random(5)
    versions = [
        chance.choice("0129")
        + "".join(chance.choices("019a~+.bZ", k=chance.randint(0, 6)))
        + chance.choice(["", "-1", "-1~", "-2+b"])
        for _ in range(200)
    ]
    for one, other in zip(versions[::2], versions[1::2], strict=True):
        word = {-1: "lt", 0: "eq", 1: "gt"}[compare_versions(one, other)]
        assert subprocess.run(["dpkg", "--compare-versions", one, word, other]).returncode == 0, (
            one,
            word,
            other,
        )
