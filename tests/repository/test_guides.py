"""What the guides show: recipes that are valid, commands of AWS that exist, tests that are there."""

import re
import shlex
from pathlib import Path

import botocore.session
import pytest
from botocore import xform_name

from ingot.recipe.load import load_recipe

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
GUIDES = ("apps.md", "image-builder.md", "packer.md", "tutorial.md")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
# What every command of the AWS CLI takes.
GLOBAL = {"region", "profile", "query", "output", "no-cli-pager"}


def blocks(page: Path, language: str) -> list[str]:
    return [text for kind, text in BLOCK.findall(page.read_text()) if kind == language]


RECIPES = [
    pytest.param(text, id=f"{name}-{number}")
    for name in GUIDES
    for number, text in enumerate(blocks(DOCS / name, "yaml"))
    if re.search(r"^base:", text, re.MULTILINE)
]


def test_the_recipes_are_found():
    assert len(RECIPES) == 5


@pytest.mark.parametrize("text", RECIPES)
def test_a_recipe_of_a_guide_is_valid(text, tmp_path):
    [name] = re.findall(r"^name: (\w+)$", text, re.MULTILINE)
    directory = tmp_path / name
    (directory / "app").mkdir(parents=True)
    (directory / "app" / "index.html").write_text("hello")
    (directory / "files").mkdir()
    for source in re.findall(r"source: (files/[\w.]+)", text):
        (directory / source).write_text("# a file\n")
    (directory / "requirements.txt").write_text("flask==3.1.0 --hash=sha256:" + "0" * 64 + "\n")
    (directory / "recipe.yaml").write_text(text)
    assert load_recipe(directory).name == name


def aws_commands() -> list[tuple[str, list[str]]]:
    """(page, words) of every command of the AWS CLI in a shell block or a code span."""
    found = []
    for page in PAGES:
        text = page.read_text()
        spans = re.findall(r"`(aws [a-z0-9]+ [a-z][^`]*)`", text)
        lines = "\n".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()
        for line in [*(line for line in lines if line.startswith("aws ")), *spans]:
            found.append((page.name, shlex.split(line, comments=True)[1:]))
    return found


AWS = aws_commands()


def test_the_commands_of_aws_are_found():
    assert len(AWS) > 10


@pytest.mark.parametrize(
    ("page", "words"), AWS, ids=lambda value: value if isinstance(value, str) else value[1]
)
def test_a_command_of_aws_has_an_operation_with_these_options(page, words):
    service, operation, *arguments = words
    if service == "s3":  # the CLI's own commands, in no service's model
        assert operation in {"cp", "ls", "mb", "rb", "rm", "sync"}
        return
    # The operations of S3's API have a name of their own in the CLI.
    name = {"s3api": "s3"}.get(service, service)
    model = botocore.session.get_session().get_service_model(name)
    operations = {xform_name(name, "-"): name for name in model.operation_names}
    assert operation in operations, f"{page}: aws {service} {operation}"
    shape = model.operation_model(operations[operation]).input_shape
    members = {xform_name(name, "-") for name in shape.members}
    options = {word.removeprefix("--").partition("=")[0] for word in arguments if word.startswith("--")}
    for option in options - GLOBAL:
        assert {option, option.removeprefix("no-")} & members, f"{page}: --{option}"


def test_every_entry_of_the_runbook_that_can_be_tried_names_tests_that_are_there():
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    _, *entries = re.split(r"^## ", (DOCS / "runbook.md").read_text(), flags=re.MULTILINE)
    tried = {entry.partition("\n")[0]: re.findall(r"`(test_\w+)`", entry) for entry in entries}
    assert {title for title, names in tried.items() if not names} == {"Nothing here fits"}
    for title, names in tried.items():
        assert [name for name in names if f"def {name}(" not in tests] == [], title
