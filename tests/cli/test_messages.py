"""What commands say of input that is wrong, and of what the store holds: one wording, one exit code."""

import json
import os
import time

import pytest

from ingot.cli.main import main
from ingot.store import Store
from tests.outputs import document_of


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Runs the command line in an empty directory, with a store of its own and no AWS
    settings; gives code, stdout, stderr.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INGOT_HOME", str(tmp_path / "home"))
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    directory = tmp_path / "image_recipes" / "web"
    directory.mkdir(parents=True)
    (directory / "recipe.yaml").write_text(
        "name: web\nbase: {ami: {ssm: /aws/x}}\nroot_volume: {size: 2GiB}\n"
    )

    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        return ended.value.code, *capsys.readouterr()

    return call


@pytest.mark.parametrize(
    "command",
    [
        ["status"],
        ["prune"],
        ["verify", "fleet"],
        ["verify", "image", "ami-0123456789abcdef0"],
        ["diff", "ami-0123456789abcdef0", "web"],
        ["lock", "web"],
    ],
    ids=" ".join,
)
def test_without_a_region_every_command_says_the_same(run, command):
    code, out, err = run(*command)
    assert (code, out) == (2, "")
    assert err.endswith(
        'no AWS region is set\n  hint: set AWS_REGION, or use the local cloud: eval "$(ingot cloud env)"\n'
    )


@pytest.mark.parametrize("command", [["status"], ["verify", "fleet"]], ids=" ".join)
def test_without_an_app_the_fleet_has_to_be_named(run, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    assert run(*command) == (
        2,
        "",
        "error: no stack of a fleet is named\n"
        "  hint: name it with --stack, or in cdk.json, under context, as ingot:fleet_stack\n",
    )


@pytest.mark.parametrize("command", [["store", "ls"], ["store", "gc"], ["cloud", "status"], ["check"]])
@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_a_file_where_the_data_should_be_is_bad_input(run, command, below, tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("INGOT_HOME", str(file / below))
    assert run(*command) == (
        2,
        "",
        f"error: Ingot cannot keep its data in {file / below}: {file} is no directory\n"
        "  hint: set INGOT_HOME to a directory that is there or can be made\n",
    )


def test_a_place_where_no_directory_can_be_made_is_bad_input(run, monkeypatch):
    """The kernel answers ENOENT to mkdir(2) in /proc, whoever asks."""
    monkeypatch.setenv("INGOT_HOME", "/proc/ingot")
    code, out, err = run("store", "gc")
    assert (code, out) == (2, "")
    assert err.startswith(
        "error: Ingot cannot keep its data in /proc/ingot: it cannot be made there\n  hint: set INGOT_HOME"
    )


def test_depth_is_that_of_a_tree(run):
    assert run("show", "web", "--depth", "3") == (2, "", "error: --depth goes with --tree\n")


def test_a_hostile_name_in_a_message_moves_no_cursor(run, tmp_path):
    recipe = tmp_path / "image_recipes" / "web" / "recipe.yaml"
    recipe.write_text(recipe.read_text() + "app: {source: app/, target: /srv/x}\n")
    app = recipe.parent / "app"
    app.mkdir()
    (app / "\x1b[2J\u202eabc").symlink_to("/etc")
    (app / os.fsdecode(b"\xff")).symlink_to("/etc")
    code, _, err = run("check")
    assert code == 2
    assert "app/\\x1b[2J\\u202eabc, a link to /etc" in err
    assert "\x1b" not in err


def test_an_image_without_a_name(run):
    code, _, err = run("show", "")
    assert (code, err.splitlines()[0]) == (2, "error: no image '' in the store")


def test_the_store_sets_images_with_unreadable_manifests_aside(run):
    good = json.dumps({"name": "web", "size": {"used": 2**20}, "package_files": []})
    texts = {"a": "[]", "b": "null", "c": good, "d": '{"name": "w', "e": '{"format": 99}', "f": "{}"}
    for letter, text in texts.items():
        directory = Store().images / (letter * 64)
        directory.mkdir(parents=True)
        (directory / "disk.raw").write_bytes(b"x")
        (directory / "manifest.json").write_text(text)
    code, out, err = run("store", "ls")
    assert code == 0
    assert [line.split("  ")[:2] for line in out.splitlines()] == [["c" * 64, "web"]]
    for letter in "abdef":
        assert f"{letter * 64}: " in err
    assert "has format 99" in err
    assert err.count("is damaged") == 4
    code, out, _ = run("store", "ls", "--json")
    listed = document_of("store ls", out)
    assert [image["name"] for image in listed["images"]] == ["web"]
    assert {image["digest"][0] for image in listed["set_aside"]} == set("abdef")
    code, _, err = run("show", "a" * 64)
    assert (code, "is damaged" in err) == (2, True)
    assert "Traceback" not in err


def test_the_store_counts_in_words(run):
    for letter, days in (("a", 0), ("b", 1), ("c", 3)):
        directory = Store().images / (letter * 64)
        directory.mkdir(parents=True)
        (directory / "disk.raw").write_bytes(b"x")
        manifest = {"name": "web", "size": {"used": 2**20}, "package_files": []}
        (directory / "manifest.json").write_text(json.dumps(manifest))
        os.utime(directory, (time.time() - days * 86400 - 1800,) * 2)
    code, out, err = run("store", "ls")
    assert code == 0
    assert [line.split("  ")[-1] for line in out.splitlines()] == [
        "used 30 min ago",
        "used 1 day ago",
        "used 3 days ago",
    ]
    assert "3 images" in err
    code, out, _ = run("store", "gc", "--images", "2")
    assert (code, out.partition(":")[0]) == (0, "removed 1 image, 0 layers, 0 packages")
