"""What the command line says of a command that is written wrong: the same form as of any other bad input, exit code 2."""

import os
import subprocess
import sys

import pytest

from ingot.cli.main import main


@pytest.fixture
def said(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        assert ended.value.code == 2
        out, err = capsys.readouterr()
        assert out == ""
        return err

    return run


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ["bake"],
            "ingot bake: found neither NAME nor --all\n  hint: expected one of them: `ingot bake web`, or `ingot bake --all`\n",
        ),
        (
            ["diff", "x"],
            "ingot diff: found no B; expected B: The image after, named in the same ways.\n"
            "  hint: `ingot diff --help` says more\n",
        ),
        (
            ["bake", "web", "--all"],
            "ingot bake: found web and --all\n  hint: expected one of them: `ingot bake web`, or `ingot bake --all`\n",
        ),
        (
            ["boot"],
            "ingot boot: found no NAME; expected NAME: The recipe, or the recipe digest of an image in the store.\n  hint: `ingot boot --help` says more\n",
        ),
        (
            ["bake", "web", "more"],
            "ingot bake: found the word 'more'; expected NAME and no more\n  hint: `ingot bake --help` says more\n",
        ),
        (
            ["show", "web", "--dept", "3"],
            "ingot show: found the option --dept; expected one that it has\n  hint: did you mean --depth?\n",
        ),
        (
            ["show", "web", "--zzz"],
            "ingot show: found the option --zzz; expected one that it has\n  hint: `ingot show --help` says more\n",
        ),
        (
            ["show", "web", "--tree", "--depth", "x"],
            "ingot show: found --depth 'x'; expected a valid integer\n  hint: `ingot show --help` says more\n",
        ),
        (
            ["show", "web", "--tree", "--depth", "0"],
            "ingot show: found --depth '0'; expected greater than or equal to 1\n"
            "  hint: `ingot show --help` says more\n",
        ),
        (
            ["show", "web", "--depth"],
            "ingot show: found --depth without a value; expected --depth and a value\n"
            "  hint: `ingot show --help` says more\n",
        ),
        (
            ["show", "web", "--tree=3"],
            "ingot show: found --tree with a value; expected --tree alone\n  hint: `ingot show --help` says more\n",
        ),
        (
            ["bkae"],
            "ingot: found the command 'bkae'; expected one of check, lock, digest, bake, boot, show, diff, plan, comment, "
            "upgrade, publish, deploy, verify, status, cost, prune, cloud, store\n  hint: did you mean bake?\n",
        ),
        (
            ["verify", "flet"],
            "ingot verify: found the command 'flet'; expected one of fleet, image\n  hint: did you mean fleet?\n",
        ),
        (
            ["verify"],
            "ingot verify: found no command; expected one of fleet, image\n  hint: `ingot verify --help` says more\n",
        ),
    ],
)
def test_it_is_said_in_our_words(said, arguments, text):
    assert said(*arguments) == text


def test_a_hostile_word_moves_no_cursor(said):
    assert "\x1b" not in said("bake", "web", "\x1b[2J")
    assert "\x1b" not in said("\x1b[2J")


def test_help_is_no_error(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["bake", "--help"])
    assert ended.value.code == 0
    assert "Usage: ingot bake" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["bake"], ["store", "ls"]], ids=" ".join)
def test_the_help_shows_no_value_for_switches(capsys, command):
    with pytest.raises(SystemExit):
        main([*command, "--help"])
    switches = [
        line for line in capsys.readouterr().out.splitlines() if "--" in line and "--help" not in line
    ]
    assert switches
    assert not any("bool" in line for line in switches)


BAKE = """
import os, sys
from ingot.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        sys.exit(end.code)
sys.exit("a child process is left")
"""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["bake", "web", "--bogus"], 2),
        (["bake", "web", "--env"], 2),
        (["bake"], 2),
        (["bake", "web"], 2),  # no such recipe here
        (["bake", "--help"], 0),
    ],
)
@pytest.mark.parametrize("path", [os.environ["PATH"], "/nowhere"])
def test_a_bake_that_does_not_come_about(tmp_path, path, arguments, code):
    """No process is left, and that the worker could not start says nothing of the command line."""
    environment = {**os.environ, "INGOT_HOME": str(tmp_path / "home"), "PATH": path}
    ended = subprocess.run(
        [sys.executable, "-c", BAKE, *arguments],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr
