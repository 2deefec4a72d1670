"""An Express app behind nginx, from npm to an image: the layer, the bytes, the answer to a request."""

import logging
import os
import pty
import signal
import subprocess
import sys

import pytest

from ingot.recipe.load import load_recipe
from ingot.store.sbom import sbom
from tests import ROOT
from tests.outputs import document_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounts"),
]
EXPRESS = ROOT / "examples" / "express" / "image_recipes" / "express"


def test_the_packages_run_and_are_the_same_from_nothing(baked_store):
    progress = logging.getLogger("bake").info
    image = baked_store.bake(load_recipe(EXPRESS), progress)
    paths = {file["path"]: file for file in image.manifest["files"]}
    assert paths["/srv/web/node_modules/express/index.js"]["layer"] == 2
    assert "/srv/web/node_modules/.package-lock.json" in paths
    assert not [path for path in paths if "/node_modules/npm/" in path]
    names = {one["name"]: one["version"] for one in image.manifest["dependencies"]}
    assert names["pkg:npm/express"] == "4.21.2"
    assert "pkg:npm/express@4.21.2" in sbom(image.manifest)
    with baked_store.baked_again(load_recipe(EXPRESS), progress) as again:
        assert again.manifest["disk"]["root_digest"] == image.root_digest


@pytest.fixture
def running(baked_store, tmp_path):
    """The image, booted by `ingot boot` on a terminal, which keeps it until Ctrl-C: what it printed when its
    tests had ended, and a function that runs another command meanwhile.
    """
    baked_store.bake(load_recipe(EXPRESS), logging.getLogger("bake").info)
    (tmp_path / "store").symlink_to(baked_store.root)
    ingot = [sys.executable, "-m", "ingot.cli.main"]
    environment = {**os.environ, "INGOT_HOME": str(tmp_path)}
    words = [*ingot, "boot", "express", "--recipes", EXPRESS.parent, "--record", tmp_path / "record.json"]
    keyboard, terminal = pty.openpty()
    with (tmp_path / "progress").open("w") as progress:
        boot = subprocess.Popen(
            words, stdin=terminal, stdout=subprocess.PIPE, stderr=progress, env=environment, text=True
        )
    os.close(terminal)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*ingot, *words], env=environment, capture_output=True, text=True, check=False)

    tests = load_recipe(EXPRESS).tests
    # The machine's URL, each test that asks from outside, and then all of them, as the image itself ran them.
    lines = 1 + sum(test.http is not None for test in tests) + len(tests)
    try:
        printed = [boot.stdout.readline() for _ in range(lines)]
        yield "".join(printed), run
    finally:
        boot.send_signal(signal.SIGINT)
        rest, _ = boot.communicate(timeout=120)
        os.close(keyboard)
    assert (boot.returncode, rest) == (0, ""), (tmp_path / "progress").read_text()


def test_the_app_answers_over_http_and_its_machine_to_a_shell(running, tmp_path):
    printed, run = running
    assert "ok      the app answers (from outside)" in printed
    [machine] = (tmp_path / "boot").glob("i-*")
    shell = run("shell", machine.name, "--", "id -u; systemctl is-active nginx; exit 7")
    assert (shell.returncode, shell.stdout.split()) == (7, ["0", "active"]), shell.stderr
    assert "Linux version" in run("console", "express").stdout
    record = document_of("boot", (tmp_path / "record.json").read_text())
    assert [test["ok"] for test in record["tests"]] == [True] * len(record["tests"])
