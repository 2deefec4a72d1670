"""Bakes that are killed with SIGKILL: the engine, its worker, or all at once, at any moment."""

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from ingot.bake.runtime.rights import remove_tree
from ingot.locks import is_locked
from ingot.recipe.compile import compile_spec
from ingot.recipe.load import load_recipe
from ingot.store import Store
from tests.baked import ROOT, WEB, baked_store, web_image

__all__ = ["baked_store", "web_image"]
BAKE = """
import sys
from pathlib import Path
from ingot.recipe.load import load_recipe
from ingot.store import Store
Store(Path(sys.argv[1])).bake(load_recipe(Path(sys.argv[2])), lambda text: print(text, flush=True))
"""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="looks into root's files and processes"),
]
# Where a cold bake is killed: at a random moment of so many seconds after it says this. The layer below comes
# first, then the one on it, then the disk with the layers alone; each bake goes on from what is there. Then
# many moments after all of that is there.
COLD = (
    ("unpacking", 2.0),
    ("taking the inventory", 1.0),
    ("configuring", 2.0),
    ("writing the disk of the packages", 1.0),
    ("examining the disk of the packages", 0.5),
)
WARM = 8


@pytest.fixture
def store(baked_store, web_image, tmp_path):
    store = Store(tmp_path / "store")
    store.root.mkdir()
    # Not the directory itself: other workers' bakes lock files in it, and would be taken for this store's.
    for file in baked_store.fetch(compile_spec(load_recipe(WEB)), lambda text: None).values():
        target = store.packages / file.relative_to(baked_store.packages)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(file, target)
    return store


def start(store):
    return subprocess.Popen(
        [sys.executable, "-c", BAKE, str(store.root), str(WEB)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT, start_new_session=True,
    )  # fmt: skip


def children(pid):
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def kill(bake, victim):
    """Kill the engine, the worker that it started, or the whole session as a supervisor
    does that has lost patience.
    """
    if victim == "all":
        os.killpg(bake.pid, signal.SIGKILL)
    elif victim == "engine":
        bake.kill()
    else:
        with suppress(OSError):  # they may have ended by themselves just now
            for unshare in children(bake.pid):
                for worker in children(unshare):
                    os.kill(worker, signal.SIGKILL)
    bake.wait()
    bake.stdout.close()


def inhabitants(store):
    """The processes that still work in the store: whose root or directory is there, or
    which have a file of it open, be it a lock.
    """
    places = (f"{store.root}/", str(store.packages.resolve()))
    return [
        process.name
        for process in Path("/proc").glob("[0-9]*")
        if any(target.startswith(places) for target in map(target_of, links_of(process)))
    ]


def links_of(process):
    with suppress(OSError):  # it ended meanwhile
        return [process / "root", process / "cwd", *(process / "fd").iterdir()]
    return []


def target_of(link):
    with suppress(OSError):  # closed meanwhile
        return str(link.readlink())
    return ""


def held(store):
    files = [*store.work.glob("*.lock"), *store.layers.glob("*.lock"), store.packages / "in-use.lock"]
    return [file.name for file in files if is_locked(file)]


def settle(store):
    """Wait until nothing of a killed bake runs any more: its worker finds that nobody
    listens, cleans up and ends.
    """
    end = time.monotonic() + 120
    # The kernel frees the locks of a process a moment after it is gone from /proc.
    while living := inhabitants(store) or held(store):
        assert time.monotonic() < end, f"of a killed bake still runs: {living}"
        time.sleep(0.05)


def remove_images(store):
    for image in store.all_images():
        remove_tree(image.directory)


def check(store):
    """Nothing is half-written, and nothing is mounted."""
    assert store.all_images() == []
    for layer in (path for path in store.layers.glob("*") if path.suffix == "" and path.is_dir()):
        assert (layer / "index").exists()
    store.remove_leftovers()
    assert [path for path in store.work.iterdir() if path.suffix != ".lock"] == []
    assert [*store.layers.glob("*.tmp"), *store.layers.glob("*/disks/*.tmp")] == []
    assert str(store.root) not in Path("/proc/self/mountinfo").read_text()


def test_a_bake_that_is_killed_at_any_moment_leaves_nothing_and_the_next_one_succeeds(
    store, web_image, record_property
):
    seed = time.time_ns()
    record_property("seed", seed)
    chance, victims = random.Random(seed), itertools.cycle(("all", "engine", "worker"))
    for (moment, seconds), victim in zip(COLD, victims, strict=False):
        bake = start(store)
        for line in bake.stdout:
            if line.startswith(moment):
                break
        time.sleep(chance.uniform(0, seconds))
        kill(bake, victim)
        settle(store)
        if store.all_images() == []:  # on a machine that is idle, the bake may have ended in that time
            check(store)
    remove_images(store)
    whole = store.bake(load_recipe(WEB), lambda _: None)
    assert whole.root_digest == web_image.root_digest
    begun = time.monotonic()
    again = store.bake(load_recipe(WEB), lambda _: None, force=True)
    took = time.monotonic() - begun
    for victim in itertools.islice(victims, WARM):
        remove_tree(again.directory)
        bake = start(store)
        time.sleep(chance.uniform(0, took))
        kill(bake, victim)
        settle(store)
        if store.all_images() == []:
            check(store)
    remove_images(store)
    assert store.bake(load_recipe(WEB), lambda _: None).root_digest == web_image.root_digest
