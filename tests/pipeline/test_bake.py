"""Several images baked side by side, on layers that are there."""

import os
import shutil
import subprocess
import sys

import pytest

from ingot.errors import StepError
from ingot.pipeline.bake import BakeOptions, bake
from tests.baked import WEB
from tests.outputs import document_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="bakes in the store that root's tests share"),
]


@pytest.fixture
def recipes(web_image, baked_store, tmp_path, monkeypatch):
    """Recipes one and two, which have the packages of a layer that the store has."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "store").symlink_to(baked_store.root)
    monkeypatch.setenv("INGOT_HOME", str(home))
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        directory = tmp_path / "image_recipes" / name
        shutil.copytree(WEB, directory)
        recipe = directory / "recipe.yaml"
        recipe.write_text(recipe.read_text().replace("name: web\n", f"name: {name}\n"))
        # An image of its own in each run: what is in the store is not baked.
        (directory / "app" / "run.txt").write_text(f"{tmp_path}\n")
    return tmp_path / "image_recipes"


def test_images_baked_side_by_side_are_those_baked_alone(recipes):
    lines = []
    both = list(bake(BakeOptions((), jobs=2), lines.append))
    assert [recipe.name for recipe, _ in both] == ["one", "two"]
    assert {line.partition(": ")[0] for line in lines} == {"one", "two"}
    for recipe, image in both:
        [(_, alone)] = bake(BakeOptions((recipe.name,), force=True), lambda _: None)
        assert alone.root_digest == image.root_digest


def test_after_a_failure_the_others_come_to_their_end(recipes):
    recipe = recipes / "one" / "recipe.yaml"
    text = recipe.read_text()
    assert "  - apache2ctl configtest\n" in text
    recipe.write_text(text.replace("  - apache2ctl configtest\n", "  - exit 7\n"))
    with pytest.raises(StepError, match="exit"):
        list(bake(BakeOptions(("one", "two"), jobs=2), lambda _: None))
    lines = []
    [(_, image)] = bake(BakeOptions(("two",)), lines.append)
    assert lines == [f"two {image.digest[:12]} is in {image.directory}"]


def test_in_a_pipe_each_line_has_the_time_and_the_name(recipes):
    command = [sys.executable, "-m", "ingot.cli.main", "bake", "one", "two", "--jobs", "2", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert [image["recipe"] for image in document_of("bake", done.stdout)] == ["one", "two"]
    for line in done.stderr.splitlines():
        seconds, unit, name = line.split()[:3]
        assert (float(seconds) >= 0, unit) == (True, "s")
        assert name in ("one:", "two:")
