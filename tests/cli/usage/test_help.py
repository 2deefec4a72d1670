"""What all commands have in common: options, and help with examples."""

import os
import re
import subprocess
import sys

import jsonschema
import pytest
import typer

from ingot.cli.main import COMMANDS, cli, main
from tests.baked import ROOT
from tests.outputs import SCHEMA, document_of


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


@pytest.mark.parametrize("command", [command for _, command in ALL], ids=[named(path) for path, _ in ALL])
def test_every_command_has_the_common_options(command):
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


def test_every_command_prints_json_but_those_that_print_anothers_text():
    """A shell's output is the shell's, and a manual page is roff: docs/json.md says so."""
    without = {" ".join(path) for path, command in ALL if all("--json" not in p.opts for p in command.params)}
    assert without == {"shell", "man"}


def test_the_page_lists_every_command_with_json_and_no_other():
    page = (ROOT / "docs/json.md").read_text()
    listed = re.findall(r"^\| `ingot ([a-z ]+)` \|", page, re.MULTILINE)
    having = [" ".join(path) for path, command in ALL if any("--json" in p.opts for p in command.params)]
    assert sorted(listed) == sorted(having)
    assert {name.removeprefix("ingot ") for name in SCHEMA["$defs"] if name.startswith("ingot ")} == set(
        having
    )


def test_each_document_of_the_schema_is_a_schema():
    for name, schema in SCHEMA["$defs"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
        # None takes anything: a text is no document of any command.
        whole = {"$ref": f"#/$defs/{name}", "$defs": SCHEMA["$defs"]}
        assert not jsonschema.Draft202012Validator(whole).is_valid("text"), name


def test_quick_commands_print_what_the_schema_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INGOT_HOME", str(tmp_path / "home"))

    def run(*words):
        with pytest.raises(SystemExit) as ended:
            main([*words, "--json"])
        assert ended.value.code == (1 if words == ("cloud", "status") else 0), words
        return document_of(
            " ".join(words[:2]) if words[0] in ("cloud", "store") else words[0], capsys.readouterr().out
        )

    project = run("init", "my-images")
    assert (project["fleet"], project["worker"]) == ('"Web": "web",', None)
    assert (tmp_path / "my-images" / "app.py").is_file()
    assert run("cloud", "status") == {"running": False}
    assert run("cloud", "down") == {"stopped": False}
    assert run("down") == {"stopped": False}
    assert run("store", "ls")["images"] == []
    assert run("store", "gc")["images"] == []
