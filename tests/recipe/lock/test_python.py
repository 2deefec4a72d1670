"""Python packages of recipes: the requirements file, line by line, and when a lock is stale."""

import hashlib
import json

import pytest

from ingot.errors import InputError
from ingot.recipe.compile import compile_spec
from ingot.recipe.load import load_recipe
from ingot.recipe.lock.file import load_lock
from ingot.recipe.lock.python import python_target, read_requirements
from ingot.recipe.lock.requirements import PythonTarget

TARGET = PythonTarget("3.11", (2, 36), "x86_64")
HASH = f"--hash=sha256:{'ab' * 32}"
VERSIONS = {"python3": "3.11.2-1+b1", "libc6": "2.36-9+deb12u14"}


@pytest.fixture
def requirements(web):
    """Give the recipe a requirements file; return the recipe."""

    def give(text, keys="requirements: requirements.txt, target: /srv/web/venv"):
        web.replace("steps:\n", f"python: {{{keys}}}\nsteps:\n")
        (web.path / "requirements.txt").write_text(text)
        return load_recipe(web.file)

    return give


def test_what_applies_to_the_image_is_read(requirements):
    recipe = requirements(
        f"# written by a program\nFlask[async]==3.1.0 \\\n    {HASH} \\\n    --hash=sha256:{'cd' * 32}\n"
        f'tomli==2.0.1 ; python_version < "3.11" {HASH}\n'
        f'uvloop==0.21.0 ; sys_platform != "win32" {HASH}  # why\n'
    )
    found = read_requirements(recipe, TARGET).wanted
    assert [(one.name, one.version, one.line, len(one.hashes)) for one in found] == [
        ("flask", "3.1.0", 2, 2), ("uvloop", "0.21.0", 6, 1),
    ]  # fmt: skip


WRONG = [
    ("flask==3.1.0", ":1:1: flask==3.1.0 without a hash", "`uv export`"),
    (f"\nflask>=3 {HASH}", ":2:1: invalid value 'flask>=3', expected one exact version", "pip-compile"),
    (f"flask==3.* {HASH}", "'flask==3.*', expected one exact version", "NAME==VERSION"),
    (f"flask {HASH}", "'flask', expected one exact version", "NAME==VERSION"),
    (f"flask @ https://example.com/flask.whl {HASH}", "expected one exact version", "NAME==VERSION"),
    (f"flask=3 {HASH}", ":1:1: 'flask=3", "NAME==VERSION"),
    ("--index-url https://user:secret@example.com/\n", "the option --index-url", "PIP_INDEX_URL"),
    ("-e .\n", "the option -e", "packages alone"),
    (f"a==1 {HASH}\nA==2 {HASH}", ":2:1: a a second time; line 1 has it", "each package once"),
    (f"a==1 --hash=md5:{'ab' * 16}", "a==1 without a hash", "--hash=sha256:"),
    (f"a==1; no_such_word == '1' {HASH}", ":1:1: ", "NAME==VERSION"),
]


@pytest.mark.parametrize(("text", "found", "expected"), WRONG)
def test_what_is_no_pinned_package_is_named_with_its_line(requirements, text, found, expected):
    with pytest.raises(InputError) as caught:
        read_requirements(requirements(text), TARGET)
    assert "image_recipes/web/requirements.txt:" in str(caught.value)
    assert found in str(caught.value)
    assert expected in str(caught.value)
    assert "secret" not in str(caught.value)


def test_what_wheels_must_fit_comes_from_the_locked_packages(requirements):
    recipe = requirements("")
    assert python_target(recipe, VERSIONS) == TARGET
    with pytest.raises(InputError, match="the image has no /usr/bin/python3") as caught:
        python_target(recipe, {"libc6": "2.36-9"})
    assert "image_recipes/web/recipe.yaml:10:" in str(caught.value)
    assert "add python3 to packages" in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("requirements: none.txt, target: /srv/v", "none.txt"),
        ("requirements: ../../../none.txt, target: /srv/v", "none.txt"),
        ("requirements: requirements.txt, target: /srv/v, interpreter: /opt/py", "the distribution's Python"),
    ],
)
def test_a_file_or_interpreter_that_cannot_be_used_is_an_error(requirements, keys, message):
    with pytest.raises(InputError, match=message) as caught:
        load_lock(requirements("", keys))
    assert "recipe.yaml:10:" in str(caught.value)


def wheel(name="flask"):
    file = f"{name}-1.0-py3-none-any.whl"
    return {"name": name, "version": "1.0", "file": file, "sha256": "cd" * 32, "size": 5}


def test_the_lock_is_part_of_the_spec_and_stale_when_the_file_changes(requirements, web):
    text = f"flask==1.0 {HASH}\n"
    recipe = requirements(text)
    with pytest.raises(InputError, match="the lock lacks the Python packages"):
        load_lock(recipe)
    data = json.loads(web.lock.read_text())
    digest = hashlib.sha256(text.encode()).hexdigest()
    locked = {"python": "3.11", "requirements_sha256": digest, "installer": wheel("pip"), "wheels": [wheel()]}
    web.write_lock({**data, "python": locked})
    spec = compile_spec(recipe)
    assert (spec.python.target, [one.name for one in spec.python.wheels]) == ("/srv/web/venv", ["flask"])
    urls = [download.url for download in spec.downloads()]
    assert "pkg:pypi/flask@1.0?file_name=flask-1.0-py3-none-any.whl" in urls
    (web.path / "requirements.txt").write_text(text + "# another\n")
    with pytest.raises(InputError, match=r"the lock was made with another requirements.txt"):
        load_lock(recipe)


def test_python_on_a_base_ami_is_refused(web):
    web.replace("{debian: bookworm}", "{ami: {id: ami-0123456789abcdef0}}")
    web.replace("steps:\n", "python: {requirements: r.txt, target: /srv/v}\nsteps:\n")
    with pytest.raises(InputError, match="python on a base AMI"):
        load_recipe(web.file)
