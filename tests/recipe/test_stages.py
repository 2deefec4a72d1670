"""Stages of a recipe: what is wrong with them, their lock, their part of the digest, their bake spec."""

import copy

import pytest

from ingot.errors import InputError
from ingot.recipe.compile import compile_spec
from ingot.recipe.digest import recipe_digest, stage_digest
from ingot.recipe.load import load_recipe
from ingot.recipe.lock.file import load_lock, lock_text, read_lock
from ingot.recipe.lock.resolve import moved
from tests.recipe.conftest import LOCK

STAGES = """\
stages:
  build:
    packages: [gcc]
    app: {source: src/, target: /src}
    steps:
      - make -C /src
files:
  - {from: build, source: /out/tool, target: /usr/local/bin/tool, mode: "0750", group: app}
  - {source: files/site.conf, target: /etc/site.conf}
"""
FILE = "image_recipes/web/recipe.yaml"


def locked_stage(name="gcc"):
    package = {**LOCK["packages"][0], "name": name, "path": f"pool/{name}.deb"}
    requested = {"base": ["usr-is-merged"], "packages": [name], "tools": []}
    return {"epoch": 1700000001, "packages": [package], "requested": requested}


@pytest.fixture
def staged(web):
    """The recipe with a stage, locked."""
    (web.path / "src").mkdir()
    (web.path / "src" / "tool.c").write_text("int main;\n")
    web.replace("files:\n  - {source: files/site.conf, target: /etc/site.conf}\n", STAGES)
    web.write_lock({**copy.deepcopy(LOCK), "stages": {"build": locked_stage()}})
    return web


def faults(web):
    with pytest.raises(InputError) as caught:
        load_recipe(web.file)
    return [(p.line, p.column, p.found, p.hint) for p in caught.value.problems]


def test_a_stage_is_a_bake_spec_of_its_own(staged):
    spec = compile_spec(load_recipe(staged.file))
    [stage] = spec.stages
    assert (stage.name, stage.epoch, stage.machine) == ("build", 1700000001, False)
    assert [package.name for package in stage.packages] == ["gcc"]
    sources = {file.target: file.source for file in stage.files}
    assert sources == {"/src": None, "/src/tool.c": "src/tool.c"}
    assert [(step.run, step.file, step.line) for step in stage.steps] == [("make -C /src", "recipe.yaml", 13)]
    [taken] = [file for file in spec.files if file.kind == "taken"]
    assert (taken.stage, taken.path, taken.mode, taken.group) == ("build", "/out/tool", "0750", "app")
    assert taken.place == "recipe.yaml:15:27"
    assert [package.name for package in spec.packages] == ["apache2"]


def test_the_spec_of_stages_travels_as_json(staged):
    from ingot.spec import read_spec

    spec = compile_spec(load_recipe(staged.file))
    assert read_spec(spec.text()) == spec
    assert spec.part("build") == spec.stages[0]
    assert spec.part(None) is spec


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("make -C /src", "make -B -C /src"),
        ("source: /out/tool", "source: /out/other"),
        ("app: {source: src/, target: /src}", "app: {source: src/, target: /source}"),
    ],
    ids=["a step", "a path that is taken", "a target"],
)
def test_all_of_a_stage_counts_in_the_digest(staged, old, new):
    before = recipe_digest(load_recipe(staged.file))
    staged.replace(old, new)
    assert recipe_digest(load_recipe(staged.file)) != before


def test_a_source_and_the_lock_of_a_stage_count_in_both_digests(staged):
    def digests():
        recipe = load_recipe(staged.file)
        return recipe_digest(recipe), stage_digest(recipe, "build")

    first = digests()
    (staged.path / "src" / "tool.c").write_text("int other;\n")
    second = digests()
    stage = locked_stage()
    stage["packages"][0]["sha256"] = "cd" * 32
    staged.write_lock({**LOCK, "stages": {"build": stage}})
    third = digests()
    assert len({first[0], second[0], third[0]}) == len({first[1], second[1], third[1]}) == 3


def test_the_digest_of_a_stage_is_that_of_nothing_else(staged):
    before = stage_digest(load_recipe(staged.file), "build")
    staged.replace("size: 2GiB", "size: 4GiB")
    staged.replace("a2ensite site", "a2ensite other")
    staged.replace("/etc/site.conf", "/etc/other.conf")
    assert stage_digest(load_recipe(staged.file), "build") == before


def test_a_recipe_without_stages_has_the_digest_it_had(web):
    form = load_recipe(web.file).canonical()
    assert "stages" not in form
    assert "stages" not in load_lock(load_recipe(web.file)).plain()


def test_a_stage_that_does_not_exist_is_named_at_its_place(staged):
    staged.replace("{from: build,", "{from: biuld,")
    found = sorted((line, column, what) for line, column, what, _ in faults(staged))
    assert found == [
        (9, 3, "the stage 'build', from which nothing is taken"),
        (15, 12, "the stage 'biuld', which does not exist"),
    ]
    assert "did you mean build?" in [hint for _, _, _, hint in faults(staged)]


def test_stages_in_a_circle_are_refused(staged):
    staged.replace(
        "    steps:\n      - make",
        "    files: [{from: more, source: /a, target: /a}]\n    steps:\n      - make",
    )
    staged.replace("stages:\n", "stages:\n  more: {files: [{from: build, source: /b, target: /b}]}\n")
    found = [what for _, _, what, _ in faults(staged)]
    assert found == ["stages in a circle: more → build → more"]


def test_a_stage_of_itself_is_a_circle(staged):
    staged.replace(
        "    app: {source: src/, target: /src}\n", "    app: {from: build, source: /x, target: /src}\n"
    )
    assert [what for _, _, what, _ in faults(staged)] == ["stages in a circle: build → build"]


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ("{from: build, source: out/tool, target: /x}", "'out/tool', a relative path"),
        ("{from: build, source: /tmp/tool, target: /x}", "'/tmp/tool'"),
        ("{from: build, source: /out/../x, target: /x}", "'/out/../x', which climbs with '..'"),
        ("{from: build, source: /out//x, target: /x}", "the path '/out//x' of a stage"),
        ("{from: build, content: x, target: /x}", "from without source"),
        ("{from: build, source: /x, template: true, target: /x}", "template for what a stage has built"),
    ],
)
def test_what_cannot_be_taken_is_refused(staged, entry, found):
    staged.replace("  - {source: files", f"  - {entry}\n  - {{source: files")
    assert [what for _, _, what, _ in faults(staged)] == [found]


def test_problems_inside_a_stage_have_their_places(staged):
    staged.replace("packages: [gcc]", "packages: [gcc, gcc]\n    bogus: 1")
    staged.replace("source: src/, target: /src", "source: none/, target: /src")
    found = {(line, what) for line, _, what, _ in faults(staged)}
    assert found == {
        (10, "package 'gcc' a second time"),
        (11, "unknown key 'bogus'"),
        (12, "no directory none/"),
    }


def test_a_stage_has_the_users_of_the_distribution_alone(staged):
    staged.replace("target: /src}", "target: /src, owner: app, group: www-data}")
    [(line, _, what, hint)] = faults(staged)
    assert (line, what) == (11, "the user 'app', which is not declared")
    assert hint is not None
    assert hint.startswith("a stage has those of the distribution")


def test_a_stage_needs_a_distribution(staged):
    staged.replace("base: {debian: bookworm}", "base: {ami: {id: ami-12345678}}")
    assert "a stage on a base AMI" in [what for _, _, what, _ in faults(staged)]


@pytest.mark.parametrize(
    ("stages", "found"),
    [
        ({}, "the lock lacks the stage 'build'"),
        ({"build": locked_stage("make")}, "the lock lacks the package 'gcc'"),
        (
            {"build": locked_stage(), "old": locked_stage()},
            "the lock has the stage 'old', and the recipe does not",
        ),
    ],
)
def test_a_lock_that_does_not_fit_the_stages_is_stale(staged, stages, found):
    staged.write_lock({**LOCK, "stages": stages})
    with pytest.raises(InputError) as caught:
        load_lock(load_recipe(staged.file))
    [line] = [problem.line for problem in caught.value.problems if problem.found == found]
    assert {problem.file for problem in caught.value.problems} == {FILE}
    assert 8 <= line <= 10


def test_a_stage_of_the_lock_is_checked_as_the_rest(staged):
    stage = locked_stage()
    stage["packages"][0]["architecture"] = "arm64"
    staged.write_lock({**LOCK, "stages": {"build": stage}})
    with pytest.raises(InputError) as caught:
        load_lock(load_recipe(staged.file))
    assert "stages.build.packages.0.architecture: a package for arm64" in caught.value.problems[0].found


def test_the_lock_is_written_with_a_line_for_each_package(staged):
    recipe = load_recipe(staged.file)
    text = lock_text(read_lock(recipe))
    assert sum('"name": "gcc"' in line and '"sha256"' in line for line in text.splitlines()) == 1
    staged.lock.write_text(text)
    assert read_lock(recipe).plain()["stages"] == {"build": locked_stage()}


def test_what_moves_in_a_stage_is_told_with_its_name(staged):
    recipe = load_recipe(staged.file)
    old = read_lock(recipe)
    stage = locked_stage()
    stage["packages"][0]["version"] = "12"
    staged.write_lock({**LOCK, "stages": {"build": stage}})
    assert moved(old, read_lock(recipe)) == ["  build: gcc 2.4-1 -> 12"]


def test_a_plan_says_what_of_a_stage_changed(staged):
    from ingot.plan.reasons import reasons
    from ingot.plan.recipes import identify

    root = staged.path.parent.parent
    before = identify(staged.file, root, None)
    staged.replace("make -C /src", "make -B -C /src")
    staged.replace("source: /out/tool", "source: /out/other")
    (staged.path / "src" / "tool.c").write_text("int other;\n")
    after = identify(staged.file, root, None)
    found = [(reason.place, reason.what) for reason in reasons(before.form, after.form)]
    assert found == [
        (f"{FILE}:15", "files.source: /out/tool → /out/other"),
        (FILE, "/usr/local/bin/tool: path /out/tool → /out/other"),
        (f"{FILE}:13 before", "stage build: - steps: make -C /src"),
        (f"{FILE}:13", "stage build: + steps: make -B -C /src"),
        ("image_recipes/web/src/tool.c", "stage build: /src/tool.c: another content"),
    ]
