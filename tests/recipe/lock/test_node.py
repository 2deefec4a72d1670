"""npm packages of recipes: the lock file, entry by entry, and when a lock is stale."""

import base64
import json

import pytest

from ingot.bake.dependencies.node import with_addresses
from ingot.errors import InputError
from ingot.recipe.compile import compile_spec
from ingot.recipe.load import load_recipe
from ingot.recipe.lock.file import load_lock
from ingot.recipe.lock.node import npm_files, read_entries, require_node

INTEGRITY = f"sha512-{base64.b64encode(bytes(64)).decode()}"
FILE = "image_recipes/web/package-lock.json"


def entry(**fields):
    return {
        "version": "1.0.0",
        "integrity": INTEGRITY,
        "resolved": "https://registry.example/a.tgz",
        **fields,
    }


@pytest.fixture
def npm(web):
    """Give the recipe a lock file with these packages; return the recipe."""

    def give(packages, *, version=3, dependencies=None, keys="", manifest=None):
        wanted = {"a": "1.0.0"} if dependencies is None else dependencies
        lock = {"lockfileVersion": version, "packages": {"": {"dependencies": wanted}, **packages}}
        (web.path / "package-lock.json").write_text(json.dumps(lock, indent=1))
        (web.path / "package.json").write_text(json.dumps(manifest or {"dependencies": wanted}))
        text = web.file.read_text()
        if "\nnode:" not in text:
            web.replace(
                "steps:\n", f"node: {{package_lock: package-lock.json, target: /srv/n{keys}}}\nsteps:\n"
            )
        return load_recipe(web.file)

    return give


def names(recipe, cpu="x64"):
    return [(one.name, one.version) for one in read_entries(recipe, npm_files(recipe), cpu)]


def test_what_is_installed_in_the_image_is_read(npm):
    recipe = npm(
        {
            "node_modules/a": entry(),
            "node_modules/@scope/b": entry(version="2.0.0"),
            "node_modules/a/node_modules/c": entry(resolved="https://registry.example/c.tgz"),
            "node_modules/alias": entry(name="real"),
            "node_modules/tests": entry(dev=True),
            "node_modules/mac": entry(optional=True, os=["darwin"]),
            "node_modules/arm": entry(optional=True, cpu=["arm64"]),
            "node_modules/musl": entry(optional=True, libc=["musl"]),
            "node_modules/gnu": entry(optional=True, libc=["glibc"], os=["!win32"]),
            "node_modules/a/node_modules/inside": entry(inBundle=True),
        },
        keys=", omit: [dev]",
    )
    assert names(recipe) == [
        ("a", "1.0.0"), ("@scope/b", "2.0.0"), ("c", "1.0.0"), ("real", "1.0.0"), ("gnu", "1.0.0"),
    ]  # fmt: skip
    assert ("arm", "1.0.0") in names(recipe, cpu="arm64")


def test_a_package_without_an_address_is_the_registrys(npm):
    without = {key: value for key, value in entry().items() if key != "resolved"}
    recipe = npm({"node_modules/a": without, "node_modules/@scope/b": without})
    assert names(recipe) == [("a", "1.0.0"), ("@scope/b", "1.0.0")]
    packages = json.loads(with_addresses(npm_files(recipe).lock))["packages"]
    assert packages["node_modules/a"]["resolved"].endswith("/a/-/a-1.0.0.tgz")
    assert packages["node_modules/@scope/b"]["resolved"].endswith("/@scope/b/-/b-1.0.0.tgz")


WRONG = [
    ({"version": 1, "packages": {}}, f"{FILE}:2:", "a lock file of version 1, expected version 2 or 3"),
    (
        {"packages": {"node_modules/a": entry(hasInstallScript=True)}},
        "a has an install script",
        "scripts: [a]",
    ),
    ({"packages": {"node_modules/a": entry(integrity="sha1-x")}}, "a has no sha512", "npm install"),
    (
        {"packages": {"node_modules/a": entry(resolved="git+ssh://x/y")}},
        "a is from git+ssh://x/y",
        "registry",
    ),
    ({"packages": {"node_modules/a": entry(link=True)}}, "a is from https://", "not from the npm registry"),
    (
        {"packages": {"node_modules/a": entry()}, "manifest": {"dependencies": {"a": "2.0.0"}}},
        "a 1.0.0, but package.json has 2.0.0",
        "npm install --package-lock-only",
    ),
    (
        {"packages": {"node_modules/a": entry()}, "manifest": {"dependencies": {"a": "1.0.0", "b": "1"}}},
        "b missing, but package.json has 1",
        "npm install --package-lock-only",
    ),
]


@pytest.mark.parametrize(("lock", "found", "expected"), WRONG)
def test_what_cannot_be_taken_is_named_with_its_place(npm, lock, found, expected):
    recipe = npm(lock.pop("packages"), **lock)
    with pytest.raises(InputError) as caught:
        names(recipe)
    assert str(caught.value).startswith(f"{FILE}:")
    assert found in str(caught.value)
    assert expected in str(caught.value)


def test_an_install_script_that_the_recipe_allows_is_taken(npm):
    recipe = npm({"node_modules/a": entry(hasInstallScript=True)}, keys=", scripts: [a]")
    assert names(recipe) == [("a", "1.0.0")]


def test_a_file_that_is_no_json_is_named_with_its_place(npm, web):
    recipe = npm({"node_modules/a": entry()})
    (web.path / "package-lock.json").write_text('{\n "packages": }')
    with pytest.raises(InputError, match=rf"{FILE}:2:14: Expecting value"):
        names(recipe)


def test_an_image_without_node_is_an_error(npm):
    recipe = npm({"node_modules/a": entry()})
    require_node(recipe, {"nodejs": "18"})
    with pytest.raises(InputError, match=r"the image has no Node.js"):
        require_node(recipe, {})


def test_the_lock_is_part_of_the_spec_and_stale_when_a_file_changes(npm, web):
    recipe = npm({"node_modules/a": entry()})
    with pytest.raises(InputError, match="the lock lacks the npm packages"):
        load_lock(recipe)
    package = {"name": "a", "version": "1.0.0", "sha512": "00" * 64, "sha256": "cd" * 32, "size": 5}
    locked = {"files_sha256": npm_files(recipe).sha256, "installer": package, "packages": [package]}
    web.write_lock({**json.loads(web.lock.read_text()), "node": locked})
    spec = compile_spec(recipe)
    assert [one.name for one in spec.node.packages] == ["a"]
    assert "pkg:npm/a@1.0.0" in [download.url for download in spec.downloads()]
    npm({"node_modules/a": entry(version="1.0.1")})
    with pytest.raises(InputError, match=r"the lock was made with another"):
        load_lock(load_recipe(web.file))
