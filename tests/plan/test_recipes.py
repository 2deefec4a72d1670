"""Which digests change, and why: each reason names its file and line."""

from pathlib import Path

import pytest

from ingot.errors import InputError
from ingot.forge.git import Repository
from ingot.plan.recipes import compare_recipes, read_tree
from ingot.recipe.digest import recipe_digest
from ingot.recipe.load import load_recipe

RECIPES = Path("image_recipes")
YAML = "image_recipes/web/recipe.yaml"


def changes(project):
    repository = Repository.around(project.path)
    with repository.checked_out(repository.commit("HEAD")) as before:
        old = read_tree(before, RECIPES, None, tolerant=True)
        new = read_tree(project.path, RECIPES, None, tolerant=False)
        return compare_recipes(old, new, None)


def reasons(project):
    [change] = changes(project)
    assert change.change == "changed"
    return [f"{reason.place}: {reason.what}" for reason in change.reasons]


def test_the_digest_is_the_one_that_names_the_image(project):
    [change] = changes(project)
    assert (change.change, change.reasons) == ("same", ())
    assert change.after == recipe_digest(load_recipe(project.recipe))


def test_a_file_of_the_app(project):
    project.write("image_recipes/web/app/index.html", "changed\n")
    assert reasons(project) == ["image_recipes/web/app/index.html: /srv/web/index.html: another content"]


def test_files_that_come_go_and_change_mode(project):
    project.write("image_recipes/web/app/new.html", "new\n")
    project.write("image_recipes/web/app/index.html", "hello\n").chmod(0o755)
    assert reasons(project) == [
        "image_recipes/web/app/index.html: /srv/web/index.html: mode 0644 → 0755",
        "image_recipes/web/app/new.html: + /srv/web/new.html",
    ]
    (project.recipe / "app" / "index.html").unlink()
    assert "image_recipes/web/app/index.html before: - /srv/web/index.html" in reasons(project)


def test_keys_of_the_recipe_with_their_lines(project):
    project.replace(YAML, "size: 2GiB", "size: 3GiB")
    project.replace(YAML, "content: hello", "content: goodbye")
    project.replace(YAML, "tests:\n", "hostname: web-1\ntests:\n")
    found = reasons(project)
    assert f"{YAML}:3: root_volume.size: 2147483648 → 3221225472" in found
    assert f"{YAML}:9: + hostname: web-1" in found
    assert f"{YAML}:8: files.content: hello → goodbye" in found
    assert f"{YAML}: /etc/motd: another content" in found


def test_a_key_that_is_gone_is_named_where_it_was(project):
    project.replace(
        YAML, "  - {name: it answers, http: {path: /}}\n", "  - {name: it runs, service: apache2}\n"
    )
    assert reasons(project) == [f"{YAML}:10 before: - tests: it answers", f"{YAML}:10: + tests: it runs"]


def test_packages_that_were_sorted_keep_their_own_lines(project):
    project.replace(YAML, "  - apache2\n", "  - zip\n  - apache2\n")
    project.lock({"apache2": "2.4-1", "openssl": "3.0-1", "zip": "3.0"}, ["apache2", "zip"])
    assert reasons(project) == [
        f"{YAML}:5: + packages: zip",
        "image_recipes/web/recipe.lock:12: + package zip 3.0",
        "image_recipes/web/recipe.lock: asked for by name (packages): + zip",
    ]


def test_locked_packages(project):
    project.lock({"apache2": "2.4-2"})
    assert reasons(project) == [
        "image_recipes/web/recipe.lock:10: package apache2 2.4-1 → 2.4-2",
        "image_recipes/web/recipe.lock:11 before: - package openssl 3.0-1",
    ]


def test_order_counts_where_the_digest_says_so(project):
    project.replace(YAML, "tests:\n", "steps: [a, b]\ntests:\n")
    project.commit("Steps")
    project.replace(YAML, "[a, b]", "[b, a]")
    assert reasons(project) == [f"{YAML}:9: steps: in another order"]


def test_long_values_say_how_much_there_is(project):
    project.replace(YAML, "content: hello", f"content: {'x' * 500}")
    assert f"{YAML}:8: files.content: hello → {'x' * 80}… (500 characters)" in reasons(project)


def test_the_engine_format(project, monkeypatch):
    old = read_tree(project.path, RECIPES, None, tolerant=False)
    monkeypatch.setattr("ingot.recipe.digest.ENGINE_FORMAT", 99)
    [change] = compare_recipes(old, read_tree(project.path, RECIPES, None, tolerant=False), None)
    assert "the engine's format" in change.reasons[0].what


def test_a_renamed_recipe_is_recognized(project):
    project.rename("web", "shop")
    [change] = changes(project)
    assert (change.name, change.change, change.was) == ("shop", "renamed", "web")
    assert [r.what for r in change.reasons] == ["name: web → shop"]


def test_a_deleted_and_a_new_one_that_are_nothing_like_each_other(project):
    project.write(
        "image_recipes/other/recipe.yaml",
        "name: other\nbase: {debian: bookworm}\nroot_volume: {size: 9GiB}\n",
    )
    project.lock({"udev": "1"}, [], name="other")
    for path in ("recipe.yaml", "recipe.lock"):
        (project.recipe / path).unlink()
    assert [(c.name, c.change) for c in changes(project)] == [("other", "added"), ("web", "deleted")]


def test_a_broken_recipe_of_the_base_can_be_repaired(project):
    project.replace(YAML, "size: 2GiB", "size: much")
    project.commit("Break it")
    project.replace(YAML, "size: much", "size: 2GiB")
    [change] = changes(project)
    assert change.change == "repaired"
    assert "unreadable before" in change.reasons[0].what


def test_a_broken_recipe_of_the_tree_is_bad_input_with_all_places(project):
    project.replace(YAML, "size: 2GiB", "size: much")
    project.replace(YAML, "debian: bookworm", "debian: buster")
    with pytest.raises(InputError) as caught:
        changes(project)
    assert len(caught.value.problems) == 2
