"""What `ingot init --template` writes, as it is: locked, checked, baked, booted, and its tests passed."""

import os
import subprocess
import sys

import pytest

from ingot.recipe.load import load_recipe
from tests.outputs import document_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The data directory of all of them, which share their packages and their base."""
    return tmp_path_factory.mktemp("home")


@pytest.mark.parametrize("template", ["api", "worker"])
def test_the_image_of_a_template_boots_and_passes_its_tests(template, home, tmp_path):
    """The one of `web` is booted by the test of the tutorial, and by tests/e2e."""

    def ingot(*words):
        command = [sys.executable, "-m", "ingot.cli.main", *words]
        environ = {**os.environ, "INGOT_HOME": str(home)}
        done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    ingot("init", "--template", template)
    ingot("lock", template)
    assert ingot("check") == f"{template}: ok\n"
    booted = document_of("boot", ingot("boot", template, "--json"))
    wanted = load_recipe(tmp_path / "image_recipes" / template / "recipe.yaml").tests
    assert {result["name"]: result["ok"] for result in booted["tests"]} == {
        test.name: True for test in wanted
    }
