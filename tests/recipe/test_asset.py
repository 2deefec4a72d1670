"""The command of an asset: what an app writes is what a deployment reads, and what the command line takes."""

from dataclasses import replace
from pathlib import Path

import pytest
import typer

from ingot.cli.main import cli
from ingot.errors import InputError
from ingot.recipe.asset import PublishCommand, is_publish_command

DIGEST = "4f" * 32
SHORT = PublishCommand(".venv/bin/python", "web", DIGEST)
WHOLE = PublishCommand(
    python="python",
    name="api",
    digest=DIGEST,
    recipes="team/image_recipes",
    environment="prod",
    region="eu-west-1",
    account="111122223333",
    builder_stack="company-images",
)


@pytest.mark.parametrize("command", [SHORT, WHOLE, replace(SHORT, environment="prod")])
def test_what_is_written_is_what_is_read(command):
    assert is_publish_command(command.words())
    assert PublishCommand.of(command.words()) == command


def test_the_command_line_takes_every_word_of_it():
    publish = typer.main.get_command(cli).get_command(None, "publish")
    _, *program, name = WHOLE.words()[:4]
    assert (program, name) == (["-m", "ingot.cli.main"], "publish")
    values = publish.make_context("publish", WHOLE.words()[4:]).params
    assert values["asset"] is True
    same = ("name", "digest", "region", "account", "builder_stack")
    assert [values[field] for field in same] == [getattr(WHOLE, field) for field in same]
    assert (values["env"], values["recipes"]) == (WHOLE.environment, Path("team/image_recipes"))


@pytest.mark.parametrize(
    "words",
    [
        ["zip", "-r", "asset.zip", "."],
        ["python", "-m", "ingot.cli.main", "bake", "web"],
        ["python", "-m", "ingot.cli.main", "publish"],
        [],
    ],
)
def test_another_executable_publishes_nothing(words):
    assert not is_publish_command(words)
    with pytest.raises(InputError, match="it publishes nothing"):
        PublishCommand.of(words)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--asset"], "the following arguments are required: --digest"),
        (["--digest"], "argument --digest: expected one argument"),
        (["--digest", DIGEST, "--no-test"], "unrecognized arguments: --no-test"),
    ],
)
def test_a_command_of_another_version_is_bad_input(words, why):
    with pytest.raises(InputError, match="cannot be read: " + why) as caught:
        PublishCommand.of(["python", "-m", "ingot.cli.main", "publish", "web", *words])
    assert caught.value.hint == "run `cdk synth` again"
