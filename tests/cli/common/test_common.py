"""What all commands have in common: options, examples, manual pages, exit codes."""

import json
import os
import re
import shutil
import subprocess
import sys

import jsonschema
import pytest
import typer

from ingot import errors
from ingot.cli.main import COMMANDS, cli, main
from ingot.cli.man import EXIT_CODES, pages
from tests.baked import ROOT


def leaves(command, path=()):
    below = getattr(command, "commands", {})
    if not below:
        yield path, command
    for name, other in below.items():
        yield from leaves(other, (*path, name))


GROUP = typer.main.get_command(cli)
ALL = [leaf for name in COMMANDS for leaf in leaves(GROUP.get_command(None, name), (name,))]


def named(value):
    return " ".join(value) if isinstance(value, tuple) else None


@pytest.mark.parametrize(("path", "command"), ALL, ids=named)
def test_every_command_has_the_common_options(path, command):
    options = {option for parameter in command.params for option in parameter.opts}
    assert {"--quiet", "-q", "--verbose", "-v", "--no-color"} <= options


@pytest.mark.parametrize(("path", "command"), ALL, ids=named)
def test_every_help_has_an_example_that_parses(path, command):
    *_, examples = command.help.split("Examples:\n\n")
    lines = [line.strip() for line in examples.splitlines() if line.strip()]
    assert lines
    assert all(line.startswith(("ingot ", 'eval "$(ingot ')) for line in lines), lines
    # `put` may be left out.
    names = (
        {f"ingot {' '.join(path)}", f"ingot {path[0]}"} if path[-1] == "put" else {f"ingot {' '.join(path)}"}
    )
    assert any(line.replace('eval "$(', "").startswith(tuple(names)) for line in lines)


def test_an_option_means_the_same_everywhere():
    """One name, one kind of value, one metavar."""
    found = {}
    for path, command in ALL:
        for parameter in command.params:
            for option in parameter.opts:
                if option in ("--json", "--recipes", "--region", "--memory", "--context", "--quiet"):
                    kind = (parameter.is_flag, parameter.metavar, parameter.multiple)
                    found.setdefault(option, {}).setdefault(kind, []).append(" ".join(path))
    assert {option: kinds for option, kinds in found.items() if len(kinds) > 1} == {}


def test_quiet_prints_results_alone(tmp_path):
    words = [sys.executable, "-m", "ingot.cli.main", "store", "gc"]
    environ = {**os.environ, "INGOT_HOME": str(tmp_path)}
    done = subprocess.run(
        [*words, "--quiet"], cwd=ROOT, env=environ, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""


def test_verbose_names_the_programs(tmp_path, capsys, monkeypatch):
    from ingot import process

    monkeypatch.setattr(process, "listener", None)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["check", "--verbose"])
    process.run(["true", "a b"])
    assert capsys.readouterr().err.endswith("  + true 'a b'\n")


def test_the_exit_codes_are_those_of_the_errors_and_of_the_page():
    codes = {0, 130} | {
        kind.exit_code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.IngotError)
    }
    assert {code for code, _ in EXIT_CODES} == codes
    page = (ROOT / "docs/reference/commands.md").read_text()
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)} == codes


def test_there_is_a_manual_page_for_each_command():
    made = pages()
    assert set(made) == {"ingot", *(f"ingot-{name}" for name in COMMANDS)}
    assert (
        "\\fB\\-\\-memory\\fR \\fIMIB\\fR\nMemory of the machine, in MiB. Default: 1024.\n"
        in made["ingot-boot"]
    )


@pytest.mark.skipif(shutil.which("man") is None, reason="needs man")
def test_man_has_nothing_to_say_against_a_page():
    made = pages()
    environ = {**os.environ, "MANWIDTH": "100", "LC_ALL": "C.UTF-8"}
    for name in ("ingot", "ingot-boot", "ingot-store", "ingot-man"):
        words = ["man", "--warnings", "--local-file", "-"]
        done = subprocess.run(
            words, input=made[name], capture_output=True, text=True, check=True, env=environ
        )
        assert done.stderr == "", name
        assert "EXIT STATUS" in done.stdout


def test_the_pages_are_installed_where_man_looks(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["man", "--install", str(tmp_path)])
    assert ended.value.code == 0
    assert (tmp_path / "man1" / "ingot-bake.1").read_text().startswith(".TH INGOT-BAKE 1")


def test_the_page_lists_every_command_with_json_and_no_other():
    page = (ROOT / "docs/json.md").read_text()
    listed = re.findall(r"^\| `ingot ([a-z ]+)` \|", page, re.MULTILINE)
    having = [" ".join(path) for path, command in ALL if any("--json" in p.opts for p in command.params)]
    assert sorted(listed) == sorted(having)


ERROR = jsonschema.Draft202012Validator(json.loads((ROOT / "docs/error.schema.json").read_text()))


@pytest.mark.parametrize(
    ("words", "code", "problems"),
    [
        (["check", "--json"], 2, 0),  # no recipes here
        (["digest", "web", "--json"], 2, 0),
        (["show", "web", "--json", "--zzz"], 2, 0),
        (["check", "--recipes", "wrong", "--json"], 2, 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_failure_with_json_is_one_document_of_one_shape(
    words, code, problems, tmp_path, monkeypatch, capsys
):
    (tmp_path / "wrong" / "web").mkdir(parents=True)
    (tmp_path / "wrong" / "web" / "recipe.yaml").write_text("name: web\nbase: {debian: 7}\nzzz: 1\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(words)
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (code, "")
    found = json.loads(err)
    ERROR.validate(found)
    assert found["error"]["exit_code"] == code
    assert len(found["error"]["problems"]) >= problems


def test_a_recipes_error_shows_its_line_and_what_belongs_there(tmp_path, monkeypatch, capsys):
    (tmp_path / "image_recipes" / "web").mkdir(parents=True)
    (tmp_path / "image_recipes" / "web" / "recipe.yaml").write_text("name: web\npakages: [nginx]\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["check"])
    err = capsys.readouterr().err
    assert (
        "error: image_recipes/web/recipe.yaml:2:1: unknown key 'pakages'\n"
        "  2 | pakages: [nginx]\n"
        "    | ^ expected one of include, name, base, "
    ) in err
    assert "\n  hint: did you mean packages or stages?\n" in err
