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
    assert stale(web) == [
        f"{FILE}:6:5: the package 'curl', which the lock lacks; expected a lock of this recipe\n"
        "  hint: run: ingot lock web"
    ]


def test_a_package_that_the_recipe_does_not_name_any_more(web):
    web.replace("[apache2]", "[]")
    assert stale(web)[0].startswith(f"{FILE}:4:11: no package 'apache2', but the lock was made with it")


def test_another_distribution_or_architecture(web):
    web.replace("debian: bookworm", "debian: trixie")
    web.replace("steps:", "architecture: arm64\nsteps:")
    said = stale(web)
    assert said[0].startswith(f"{FILE}:2:16: debian trixie, but the lock is of debian bookworm")
    assert "arm64, but the lock is for amd64" in said[1]


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("{\n<<<<<<< ours\n", "2:1", "Invalid JSON"),
        ("{\n", "2:1", "Invalid JSON"),
        ('{"format": 2}', "1:1", "format"),
        ("", "1:1", "Invalid JSON"),
    ],
)
def test_a_lock_that_is_broken(web, text, place, what):
    web.lock.write_text(text)
    said = stale(web)
    assert said[0].startswith(f"image_recipes/web/recipe.lock:{place}: ")
    assert what in said[0]
    assert "run: ingot lock web" in said[0]


@pytest.mark.parametrize("path", ["/etc/x.deb", "pool/../../x.deb", "pool/x"])
def test_a_path_that_leaves_the_archive(web, path):
    web.write_lock({**LOCK, "packages": [{**LOCK["packages"][0], "path": path}]})
    assert "packages.0.path" in stale(web)[0]


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
    assert f"that needs {package}, which the lock lacks" in problem
    assert "run: ingot lock web" in problem
    more = {**LOCK["packages"][0], "name": package}
    web.write_lock({**LOCK, "packages": [*LOCK["packages"], more]})
    load_lock(load_recipe(web.file))
