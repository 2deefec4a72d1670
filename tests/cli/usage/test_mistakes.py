"""What the command line says of a command that is written wrong: `error: …`, `hint: …`, exit code 2."""

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
            "error: missing argument 'NAME', or --all\n  hint: `ingot bake web`, or `ingot bake --all`\n",
        ),
        (
            ["bake", "web", "--all"],
            "error: web and --all exclude each other\n  hint: `ingot bake web`, or `ingot bake --all`\n",
        ),
        (
            ["diff", "x"],
            (
                "error: missing argument 'B'\n"
                "  hint: The image after, named in the same ways. `ingot diff --help` says more\n"
            ),
        ),
        (
            ["boot"],
            (
                "error: missing argument 'NAME'\n  hint: The recipe, or the recipe digest of an image in the"
                " store. `ingot boot --help` says more\n"
            ),
        ),
        (
            ["digest", "web", "more"],
            "error: unexpected argument: more\n  hint: `ingot digest --help` says more\n",
        ),
        (
            ["show", "web", "--dept", "3"],
            "error: unknown option '--dept'\n  hint: did you mean '--depth'?\n",
        ),
        (
            ["show", "web", "--zzz"],
            "error: unknown option '--zzz'\n  hint: `ingot show --help` says more\n",
        ),
        (
            ["show", "web", "--tree", "--depth", "x"],
            (
                "error: invalid value for '--depth': must be a valid integer\n"
                "  hint: `ingot show --help` says more\n"
            ),
        ),
        (
            ["show", "web", "--tree", "--depth", "0"],
            (
                "error: invalid value for '--depth': must be greater than or equal to 1\n"
                "  hint: `ingot show --help` says more\n"
            ),
        ),
        (
            ["show", "web", "--depth"],
            "error: option '--depth' requires an argument\n  hint: `ingot show --help` says more\n",
        ),
        (
            ["show", "web", "--tree=3"],
            "error: option '--tree' does not take a value\n  hint: `ingot show --help` says more\n",
        ),
        (
            ["bkae"],
            "error: unknown command 'bkae'\n  hint: did you mean 'bake'?\n",
        ),
        (
            ["zzz"],
            "error: unknown command 'zzz'\n  hint: `ingot --help` says more\n",
        ),
        (
            ["verify", "flet"],
            "error: unknown command 'flet'\n  hint: did you mean 'fleet'?\n",
        ),
        (
            ["verify"],
            "error: missing command\n  hint: give one of: fleet, image\n",
        ),
        (
            ["archive", "lss"],
            "error: unknown command 'lss'\n  hint: did you mean 'ls'?\n",
        ),
        (
            ["archive", "web"],
            (
                "error: missing argument 'URL'\n  hint: The archive: s3://BUCKET or s3://BUCKET/PREFIX."
                " `ingot archive put --help` says more\n"
            ),
        ),
        (
            ["deploy", "--dry"],
            "error: unknown option '--dry'\n  hint: `ingot deploy --help` says more\n",
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


@pytest.mark.parametrize(
    ("command", "default"),
    [
        (["status"], "ingot:fleet_stack in cdk.json"),
        (["publish"], "AWS_REGION, else the profile's"),
        (["plan"], "where HEAD left origin/main or main"),
        (["prune"], "all"),
        (["cloud", "up"], "5566"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_help_says_what_counts_without_an_option(command, default, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    text = " ".join(capsys.readouterr().out.replace("│", "").split())
    assert f"[default: ({default})]" in text
