"""Manual pages: one for each command, as man(1) wants them, and the exit codes that they list."""

import os
import re
import shutil
import subprocess

import pytest
import typer

from ingot import errors
from ingot.cli.main import COMMANDS, cli, main
from ingot.cli.usage.manual import EXIT_CODES, pages
from tests.baked import ROOT


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
    manual = pages(typer.main.get_command(cli), COMMANDS)
    assert set(manual) == {"ingot", *(f"ingot-{name}" for name in COMMANDS)}
    assert (
        "\\fB\\-\\-memory\\fR \\fIMIB\\fR\nMemory of the machine, in MiB. Default: 1024.\n"
        in manual["ingot-boot"]
    )


@pytest.mark.skipif(shutil.which("man") is None, reason="needs man")
def test_man_has_nothing_to_say_against_a_page():
    manual = pages(typer.main.get_command(cli), COMMANDS)
    environ = {**os.environ, "MANWIDTH": "100", "LC_ALL": "C.UTF-8"}
    for name in ("ingot", "ingot-boot", "ingot-store", "ingot-man"):
        words = ["man", "--warnings", "--local-file", "-"]
        done = subprocess.run(
            words, input=manual[name], capture_output=True, text=True, check=True, env=environ
        )
        assert done.stderr == "", name
        assert "EXIT STATUS" in done.stdout


def test_the_pages_are_installed_where_man_looks(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["man", "--install", str(tmp_path)])
    assert ended.value.code == 0
    assert (tmp_path / "man1" / "ingot-bake.1").read_text().startswith(".TH INGOT-BAKE 1")
