"""A bake that is killed in the middle."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ingot.bake.locks import is_locked
from ingot.store import Store
from tests.baked import ROOT, WEB, baked_store, web_image

__all__ = ["baked_store", "web_image"]
BAKE = """
import sys
from pathlib import Path
from ingot.recipe.load import load_recipe
from ingot.bake.locks import is_locked
from ingot.store import Store
Store(Path(sys.argv[1])).bake(load_recipe(Path(sys.argv[2])), lambda text: print(text, flush=True))
"""


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="looks into root's files and mounts")
def test_a_killed_bake_leaves_nothing_that_stays(web_image, baked_store, tmp_path):
    store = Store(tmp_path / "store")
    store.root.mkdir()
    store.packages.symlink_to(baked_store.packages)
    bake = subprocess.Popen(
        [sys.executable, "-c", BAKE, str(store.root), str(WEB)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )  # fmt: skip
    assert bake.stdout is not None
    for line in bake.stdout:
        if line.startswith("configuring"):
            break
    bake.send_signal(signal.SIGKILL)
    bake.wait()
    bake.stdout.close()
    assert store.all_images() == []
    # Its worker finds that nobody listens any more, cleans up and ends, and its lock and mounts end with it.
    end = time.monotonic() + 120
    while any(is_locked(lock) for lock in store.layers.glob("*.lock")):
        assert time.monotonic() < end, "the worker of a killed bake goes on"
        time.sleep(0.1)
    assert [path.name for path in store.layers.iterdir() if path.suffix != ".lock"] == []
    store.remove_leftovers()
    assert [path.name for path in store.work.iterdir() if path.suffix != ".lock"] == []
    assert str(store.root) not in Path("/proc/self/mountinfo").read_text()
