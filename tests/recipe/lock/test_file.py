import json
import os
import re

import pytest

from ingot.errors import IngotError, InputError
from ingot.recipe.load import load_recipe
from ingot.recipe.lock.file import load_lock, lock_text, read_lock, write_lock
from tests.recipe.conftest import LOCK

FILE = "image_recipes/web/recipe.yaml"


def stale(web):
    with pytest.raises(InputError) as caught:
        load_lock(load_recipe(web.file))
    return [str(problem) for problem in caught.value.problems]


def test_a_package_that_the_lock_lacks(web):
    web.replace("[apache2]", "\n  - apache2\n  - curl")
    assert stale(web) == [f"{FILE}:6:5: the lock lacks the package 'curl'\n  hint: run: ingot lock web"]


def test_a_package_that_the_recipe_does_not_name_any_more(web):
    web.replace("[apache2]", "[]")
    assert stale(web)[0].startswith(f"{FILE}:4:11: the lock has the package 'apache2', and")


def test_another_distribution_or_architecture(web):
    web.replace("debian: bookworm", "debian: trixie")
    web.replace("steps:", "architecture: arm64\nsteps:")
    said = stale(web)
    assert said[0].startswith(f"{FILE}:2:16: the recipe is for debian trixie, and the lock for debian")
    assert "the recipe is for arm64, and the lock for amd64" in said[1]


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("{\n<<<<<<< ours\n", "2:1", "Invalid JSON"),
        ("{\n", "2:1", "Invalid JSON"),
        ('{"format": 2}', "1:12", "format"),
        ("", "1:1", "Invalid JSON"),
    ],
)
def test_a_lock_that_is_broken(web, text, place, what):
    web.lock.write_text(text)
    said = stale(web)
    assert said[0].startswith(f"image_recipes/web/recipe.lock:{place}: ")
    assert what in said[0]
    assert "run: ingot lock web" in said[0]


# key of a package, what it must not be
HOSTILE = [
    ("name", "../../../x"),
    ("name", "a/b"),
    ("name", "Apache2"),
    ("name", "a"),
    ("version", "1/../../x"),
    ("version", "1 2"),
    ("version", ""),
    ("architecture", "../amd64"),
    ("architecture", "sparc"),
    ("archive", "../debian"),
    ("archive", "elsewhere"),
    ("suite", "bookworm main"),
    ("path", "/etc/x.deb"),
    ("path", "pool/../../x.deb"),
    ("path", "pool/x"),
    ("path", "pool\\x.deb"),
    ("path", "pool/x\n.deb"),
    ("path", "pool/x\x1b[2J.deb"),
    ("sha256", "AB" * 32),
    ("sha256", "ab" * 31),
    ("size", 0),
    ("size", 10**30),
    ("size", 10**10),
    ("role", "both"),
]


@pytest.mark.parametrize(("key", "value"), HOSTILE, ids=[f"{key} {value!r}"[:40] for key, value in HOSTILE])
def test_a_field_that_is_no_debian_package_is_refused_at_its_place(web, key, value):
    package = {**LOCK["packages"][0], key: value}
    lock = {**LOCK, "packages": [LOCK["packages"][0] | {"name": "udev"}, package]}
    web.lock.write_text(json.dumps(lock, indent=1))
    lines = web.lock.read_text().splitlines()
    [number] = [
        n for n, line in enumerate(lines, 1) if f'"{key}": ' in line and n > 20 and "requested" not in line
    ][:1]
    [problem] = stale(web)
    column = lines[number - 1].index(": ") + 3
    assert problem.startswith(f"image_recipes/web/recipe.lock:{number}:{column}: packages.1.{key}: ")
    assert "\x1b" not in problem


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"packages": []}, "packages"),
        ({"packages": [LOCK["packages"][0]] * 2}, "packages.1.name: the package 'apache2' a second time"),
        ({"epoch": 10**12}, "epoch"),
        ({"architecture": "arm64"}, "packages.0.architecture: a package for amd64"),
        ({"distribution": {"id": "debian", "suite": "../x"}}, "distribution.suite"),
        ({"requested": {**LOCK["requested"], "tools": ["../x"]}}, "requested.tools.0"),
    ],
)
def test_a_lock_that_contradicts_itself_or_is_empty_is_refused(web, change, where):
    web.write_lock({**LOCK, **change})
    [problem] = stale(web)
    assert problem.startswith("image_recipes/web/recipe.lock:1:")
    assert not problem.startswith("image_recipes/web/recipe.lock:1:1:")
    assert f": {where}" in problem


def test_every_fault_of_a_lock_is_reported_up_to_twenty(web):
    package = LOCK["packages"][0]
    web.write_lock({**LOCK, "packages": [{**package, "name": f"A{n}"} for n in range(3)]})
    assert len(stale(web)) == 3
    web.write_lock({**LOCK, "packages": [{**package, "name": f"A{n}"} for n in range(100)]})
    assert len(stale(web)) == 20


def test_a_name_that_is_no_text_is_found_in_its_line(web):
    web.lock.write_text(json.dumps(LOCK, indent=1).replace('"apache2",', '"\\ud800",', 1))
    [problem] = stale(web)
    assert re.match(r"image_recipes/web/recipe\.lock:\d{2}:\d+: Invalid JSON: ", problem)


@pytest.mark.parametrize("kind", ["a directory", "a link to itself", "a FIFO", "a device", "33 MiB"])
def test_a_lock_that_is_no_file_or_too_large(web, kind):
    web.lock.unlink()
    match kind:
        case "a directory":
            web.lock.mkdir()
        case "a link to itself":
            web.lock.symlink_to(web.lock)
        case "a FIFO":
            os.mkfifo(web.lock)
        case "a device":
            web.lock.symlink_to("/dev/zero")
        case _:
            with web.lock.open("wb") as file:
                file.truncate(33 << 20)
    [problem] = stale(web)
    assert problem.startswith("image_recipes/web/recipe.lock:1:1: ")


def test_a_lock_is_read_as_it_was_written(web):
    recipe = load_recipe(web.file)
    lock = load_lock(recipe)
    before = web.lock.read_text()
    write_lock(recipe, lock)
    assert web.lock.read_text() != before  # in Ingot's own spelling
    assert read_lock(recipe) == lock
    assert lock_text(lock) == web.lock.read_text()
    assert [path.name for path in web.path.iterdir() if path.name.startswith(".")] == []


def test_a_review_sees_one_line_for_a_package_that_moved(web):
    recipe = load_recipe(web.file)
    one = load_lock(recipe)
    web.write_lock({**LOCK, "packages": [{**LOCK["packages"][0], "version": "9", "sha256": "cd" * 32}]})
    two = load_lock(recipe)
    before, after = lock_text(one).splitlines(), lock_text(two).splitlines()
    assert len(before) == len(after)
    assert [line for line in after if line not in before] == [
        line for line in after if '"version": "9"' in line
    ]


def test_a_lock_that_cannot_be_written_leaves_nothing(web):
    recipe = load_recipe(web.file)
    lock = load_lock(recipe)
    web.lock.unlink()
    web.lock.mkdir()  # what no user, not even root, can replace by a file
    with pytest.raises(IngotError, match=r"recipe\.lock cannot be written"):
        write_lock(recipe, lock)
    assert [path.name for path in web.path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("line", "package"), [("timezone: Europe/Berlin", "tzdata"), ("locale: de_DE.UTF-8", "locales")]
)
def test_a_setting_that_needs_a_package_which_the_lock_lacks(web, line, package):
    web.replace("steps:", f"{line}\nsteps:")
    with pytest.raises(InputError) as caught:
        load_lock(load_recipe(web.file))
    [problem] = map(str, caught.value.problems)
    assert problem.startswith("image_recipes/web/recipe.yaml:10:")
    assert f"needs {package}, which the lock lacks" in problem
    assert "run: ingot lock web" in problem
    more = {**LOCK["packages"][0], "name": package}
    web.write_lock({**LOCK, "packages": [*LOCK["packages"], more]})
    load_lock(load_recipe(web.file))
