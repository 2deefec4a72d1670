"""Errors stay as they were raised: what is known later makes another of the same kind."""

import ast
from pathlib import Path

import pytest

from ingot import errors
from ingot.errors import InputError, MissingToolError, Problem
from tests import ROOT

MISSING = MissingToolError("qemu-img", package="qemu-utils", needed_for="boot")
PROBLEM = Problem("recipe.yaml", 1, 2, "'x'", "y")


def test_another_hint_makes_another_error_of_the_same_kind():
    error = MISSING.with_hint("ask somebody")
    assert type(error) is MissingToolError
    assert (error.message, error.hint, error.tool) == (MISSING.message, "ask somebody", "qemu-img")
    assert (error.package, error.exit_code, error.args) == ("qemu-utils", 3, (MISSING.message,))
    assert MISSING.hint == "install it with: sudo apt-get install qemu-utils"


def test_another_message_is_what_it_says():
    error = MISSING.with_message("no")
    assert str(error) == f"no\n  hint: {MISSING.hint}"
    assert error.args == ("no",)
    assert "qemu-img is missing" in str(MISSING)


def test_a_hint_goes_on_or_begins():
    assert InputError("no", hint="a").with_more_hint("b").hint == "a\n  b"
    assert InputError("no").with_more_hint("b").hint == "b"


def test_problems_stay():
    error = InputError("wrong", problems=[PROBLEM]).with_hint("b")
    assert error.problems == [PROBLEM]
    assert str(error) == str(PROBLEM)


def test_a_tool_may_come_from_elsewhere_than_debian():
    error = MissingToolError("cdk", package="cdk", needed_for="deploy", install="npm ci")
    assert error.hint == "install it with: npm ci"


def test_what_a_machine_lacks_has_one_exit_code():
    kinds = [kind for name, kind in vars(errors).items() if name.startswith("Missing")]
    assert len(kinds) == 5
    assert all(issubclass(kind, errors.MissingError) and kind.exit_code == 3 for kind in kinds)


def written(file: Path) -> list[str]:
    """The places at which a module sets an attribute of an error that it did not make in that class."""
    return [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Assign | ast.AugAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Attribute)
        and target.attr in ("hint", "message", "args", "exit_code")
        and ast.unparse(target.value) != "self"
    ]


@pytest.mark.parametrize("tree", ["ingot", "localcloud", "stacks", "bench", "tools"])
def test_nobody_writes_into_a_caught_error(tree):
    files = [file for file in (ROOT / tree).rglob("*.py") if file != ROOT / "ingot" / "errors.py"]
    assert files
    assert [place for file in files for place in written(file)] == []


def test_a_problem_is_one_line_that_can_be_read():
    problem = Problem("recipe.yaml", 1, 2, "unknown key 'a\nb'", "y" * 6000)
    assert problem.found == "unknown key 'a\\nb'"
    assert problem.expected == "y" * 999 + "…"
