"""`ingot diff`: how images are named, what is said when one is missing, exit codes."""

import json
import os
import subprocess

import pytest

from ingot.cli.main import main
from ingot.recipe.digest import recipe_digest
from ingot.recipe.load import load_recipe
from ingot.store import Store
from tests.diff.disks import make_image, text
from tests.outputs import document_of


def diff(*arguments):
    """Run the command; return its exit code."""
    try:
        main(["diff", *arguments])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def keep(directory, digest, *entries):
    """Put an image with these entries into the store, under a recipe digest."""
    image = make_image(directory, *entries, name=digest[:8], digest=digest)
    target = Store().images / digest
    target.mkdir(parents=True)
    image.disk.rename(target / "disk.raw")
    (target / "manifest.json").write_text(json.dumps(image.manifest))


@pytest.fixture
def images(project, tmp_path):
    """A store with two images: a… and b…."""
    keep(tmp_path, "a" * 64)
    keep(tmp_path, "b" * 64, text("/etc/motd", "hello\n"))
    return project


def digest_of(project):
    return recipe_digest(load_recipe(project.path / "image_recipes/web"))


def said(capsys):
    return capsys.readouterr().err.strip().splitlines()


def test_the_same_image_is_exit_code_0(images, capsys):
    assert diff("aaaa", "a" * 64) == 0
    assert "The images are the same." in capsys.readouterr().out


def test_a_difference_is_exit_code_1(images, capsys):
    assert diff("aaaa", "bbbb") == 1
    assert "+ /etc/motd: 6 bytes, 0644 root:root" in capsys.readouterr().out


def test_json_markdown_and_html(images, capsys):
    assert diff("aaaa", "bbbb", "--json") == 1
    assert document_of("diff", capsys.readouterr().out)["files"][1]["path"] == "/etc/motd"
    assert diff("aaaa", "bbbb", "--markdown") == 1
    assert "- added `/etc/motd`" in capsys.readouterr().out
    assert diff("aaaa", "bbbb", "--html") == 1
    assert capsys.readouterr().out.startswith("<!doctype html>")


def test_formats_exclude_each_other(images, capsys):
    assert diff("aaaa", "bbbb", "--markdown", "--html") == 2
    assert said(capsys)[-1] == "error: --markdown, --json and --html exclude each other"
    assert diff("aaaa", "bbbb", "--json", "--html") == 2
    message = json.loads(said(capsys)[-1])["error"]["message"]
    assert message == "--markdown, --json and --html exclude each other"


def test_a_recipe_and_its_revision(images, tmp_path, capsys):
    before = digest_of(images)
    keep(tmp_path, before)
    (images.path / "image_recipes/web/app/more.txt").write_text("more")
    keep(tmp_path, digest_of(images), text("/srv/web/more.txt", "more"))
    assert diff("HEAD:web", "web") == 1
    assert "+ /srv/web/more.txt" in capsys.readouterr().out
    images.commit("two")
    assert diff("--recipe", "web", "HEAD~1", "HEAD", "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert found["before"]["recipe_digest"] == before
    assert (
        "worktree" not in subprocess.run(["git", "branch"], capture_output=True, text=True, check=True).stdout
    )


@pytest.mark.parametrize(
    ("word", "message"),
    [
        (
            "nothing-like-it",
            "no image 'nothing-like-it': not a recipe in image_recipes, a digest, an AMI or REVISION:RECIPE",
        ),
        ("nowhere:web", "there is no revision 'nowhere' in this repository"),
        ("HEAD:wob", "no recipe 'wob' at HEAD; there is: web"),
    ],
)
def test_what_does_not_exist_is_said(images, capsys, word, message):
    assert diff("aaaa", word) == 2
    assert message in "\n".join(said(capsys))


def test_a_digest_that_is_nowhere(images, capsys):
    assert diff("aaaa", "cccc") == 2
    text = "\n".join(said(capsys))
    assert "no image cccc in the store, and no AWS region is set" in text
    assert "hint: `ingot store ls` lists what is there; else set AWS_REGION, or use the local cloud" in text


def test_a_revision_whose_image_is_not_baked(images, capsys):
    assert diff("HEAD", "HEAD", "--recipe", "web") == 2
    assert "hint: run `ingot bake web` at that revision, or add --bake" in "\n".join(said(capsys))


def test_a_prefix_of_two_digests(images, tmp_path, capsys):
    keep(tmp_path, "a" * 63 + "b")
    assert diff("aaaa", "bbbb") == 2
    assert "2 images have digests that begin with aaaa" in "\n".join(said(capsys))


def test_a_recipe_that_is_not_baked(images, capsys):
    assert diff("aaaa", "web") == 2
    text = "\n".join(said(capsys))
    assert f"the image of web, {digest_of(images)[:12]}, is not in the store" in text
    assert "hint: run `ingot bake web`, or add --bake" in text


def test_a_manifest_of_a_newer_format(images, capsys):
    file = Store().images / ("b" * 64) / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": 7}))
    assert diff("aaaa", "bbbb") == 2
    assert "the manifest of web bbbbbbbbbbbb has format 7; this Ingot reads formats up to 1" in "\n".join(
        said(capsys)
    )


@pytest.mark.parametrize("content", ["no JSON", "[]", '{"format": 2}'])
def test_a_record_of_a_boot_that_is_none(images, tmp_path, capsys, content):
    file = tmp_path / "boot.json"
    file.write_text(content)
    assert diff("aaaa", "bbbb", "--html", "--boot", str(file)) == 2
    assert f"{file} is not the record of a boot" in "\n".join(said(capsys))


def test_no_git_repository(images, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert diff("aaaa", "HEAD:web") == 2
    assert "is not in a git repository" in "\n".join(said(capsys))
    assert os.environ["INGOT_HOME"]
