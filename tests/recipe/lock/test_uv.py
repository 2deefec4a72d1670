"""The lock of uv: what of it an image gets, and what is wrong with it, line by line."""

import pytest

from ingot.errors import InputError
from ingot.recipe.load import load_recipe
from ingot.recipe.lock.python import python_target, read_requirements

FILE = "image_recipes/web/uv.lock"
VERSIONS = {"python3": "3.11.2-1+b1", "libc6": "2.36-9+deb12u10"}
HEAD = 'version = 1\nrevision = 2\nrequires-python = ">=3.11"\n'


def package(name, version="1.0", *, source='registry = "https://index.example/simple"', wheels=1, more=""):
    files = "".join(
        f'    {{ url = "https://index.example/{name}-{n}.whl", hash = "sha256:{n:064x}", size = 9 }},\n'
        for n in range(wheels)
    )
    wheel_list = f"wheels = [\n{files}]\n" if wheels else ""
    text = f'\n[[package]]\nname = "{name}"\nversion = "{version}"\nsource = {{ {source} }}\n'
    return f"{text}{more}{wheel_list}"


def project(*dependencies, more=""):
    named = "".join(f"    {{ {one} }},\n" for one in dependencies)
    depends = f"dependencies = [\n{named}]\n{more}"
    return package("shop", "0.1.0", source='virtual = "."', wheels=0, more=depends)


@pytest.fixture
def wanted(web):
    """Return what is read of a uv.lock for the image's Python 3.11."""

    def read(*parts, head=HEAD):
        (web.path / "uv.lock").write_text(head + "".join(parts))
        if "uv_lock" not in web.file.read_text():
            web.replace("steps:\n", "python: {uv_lock: uv.lock, target: /srv/venv}\nsteps:\n")
        recipe = load_recipe(web.file)
        return read_requirements(recipe, python_target(recipe, VERSIONS)).wanted

    return read


def faults(wanted, *parts, head=HEAD):
    with pytest.raises(InputError) as caught:
        wanted(*parts, head=head)
    assert {problem.file for problem in caught.value.problems} == {FILE}
    return [(problem.line, problem.found) for problem in caught.value.problems]


def names(found):
    return [(one.name, one.version) for one in found]


def test_what_the_project_needs_is_wanted_with_its_hashes(wanted):
    found = wanted(
        package("a", more='dependencies = [{ name = "b" }]\n', wheels=2),
        package("b", "2.0"),
        package("for-nobody"),
        project('name = "a"'),
    )
    assert names(found) == [("a", "1.0"), ("b", "2.0")]
    assert found[0].hashes == {f"{0:064x}", f"{1:064x}"}
    assert found[0].line == 5


def test_markers_count_for_the_image(wanted):
    found = wanted(
        package("linux"),
        package("old"),
        package("windows"),
        project(
            'name = "windows", marker = "sys_platform == \'win32\'"',
            "name = \"linux\", marker = \"sys_platform == 'linux' and platform_machine == 'x86_64'\"",
            'name = "old", marker = "python_full_version < \'3.11\'"',
        ),
    )
    assert names(found) == [("linux", "1.0")]


def test_extras_are_followed_and_groups_for_development_are_not(wanted):
    extras = '\n[package.optional-dependencies]\nfast = [{ name = "c" }]\nslow = [{ name = "d" }]\n'
    groups = '\n[package.dev-dependencies]\ndev = [{ name = "d" }]\n'
    found = wanted(
        package("a", wheels=1).rstrip("\n") + "\n" + extras,
        package("c"),
        package("d"),
        project('name = "a", extra = ["fast"]', more=groups),
    )
    assert names(found) == [("a", "1.0"), ("c", "1.0")]


def test_of_two_versions_the_one_for_the_image_is_wanted(wanted):
    new = "resolution-markers = [\"python_full_version >= '3.12'\"]\n"
    old = "resolution-markers = [\"python_full_version < '3.12'\"]\n"
    found = wanted(package("a", "2.0", more=new), package("a", "1.0", more=old), project('name = "a"'))
    assert names(found) == [("a", "1.0")]


@pytest.mark.parametrize(
    ("parts", "head", "fault"),
    [
        ([project()], HEAD.replace("version = 1", "version = 2", 1), (1, "version 2 of the format")),
        (
            [project()],
            HEAD.replace("3.11", "3.13"),
            (3, "requires-python '>=3.13', but the image has Python 3.11"),
        ),
        ([project(), "x ="], HEAD, (11, "TOML that does not parse")),
        ([package("a")], HEAD, (1, "no project at its place")),
        ([project('name = "a"')], HEAD, (5, "shop needs a, of which there is none")),
        (
            [package("a", source='git = "https://git.example/a"'), project('name = "a"')],
            HEAD,
            (5, "a from git https://git.example/a"),
        ),
        (
            [package("a", wheels=0), project('name = "a"')],
            HEAD,
            (5, "a 1.0 has no wheel, only a source distribution"),
        ),
        (
            [package("a"), project("name = \"a\", marker = \"nonsense\"")],
            HEAD,
            (13, "the marker 'nonsense'"),
        ),
    ],
    ids=["format", "python", "syntax", "no project", "unknown", "git", "source distribution", "marker"],
)  # fmt: skip
def test_what_cannot_be_taken_has_its_line(wanted, parts, head, fault):
    [(line, found)] = faults(wanted, *parts, head=head)
    assert line == fault[0]
    assert found.startswith(fault[1])


def test_one_of_the_two_files_is_named(web):
    web.replace("steps:\n", "python: {uv_lock: u, requirements: r, target: /srv/venv}\nsteps:\n")
    with pytest.raises(InputError) as caught:
        load_recipe(web.file)
    assert caught.value.problems[0].found == "requirements and uv_lock together"
