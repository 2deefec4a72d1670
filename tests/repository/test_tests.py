"""What every test has to be: it can fail, it looks from outside, and it needs no other."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from ingot.machines.accelerator import VARIABLE
from tests import ROOT

Function = ast.FunctionDef | ast.AsyncFunctionDef
# Methods that raise unless it is so: of the CDK's assertions, and of graphlib for a circle.
ASSERTIONS = {
    "all_resources_properties", "has_output", "has_resource", "has_resource_properties", "prepare",
    "resource_count_is", "template_matches",
}  # fmt: skip
# Underscores that are no privates: of named tuples, and of os.
PUBLIC = {"_asdict", "_exit", "_fields", "_make", "_replace"}
# moto has no way to make a parameter below /aws/, which nobody but AWS can.
FOREIGN = {"tests/audit/test_builder_role.py": {"_parameters"}}

FILES = sorted((ROOT / "tests").rglob("*.py"))
TREES = {str(path.relative_to(ROOT)): ast.parse(path.read_text()) for path in FILES}


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def cases(tree: ast.AST) -> Iterator[Function]:
    return (function for function in functions(tree) if function.name.startswith("test_"))


def called(node: ast.Call) -> str:
    """The last part of what is called: `raises` for `pytest.raises`."""
    return ast.unparse(node.func).rpartition(".")[2]


def asserts(function: Function) -> bool:
    """Whether something in it raises when what it looks at is not so."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert | ast.Raise):
            return True
        if isinstance(node, ast.Call):
            must = any(
                keyword.arg == "check" and ast.unparse(keyword.value) == "True" for keyword in node.keywords
            )
            if must or called(node) in {"raises", "fail", "warns"} | ASSERTIONS:
                return True
    return False


def uses(function: Function, names: set[str]) -> bool:
    """Whether it calls one of these, or has one as a fixture."""
    given = {argument.arg for argument in function.args.args}
    return bool(names & given) or any(
        isinstance(node, ast.Call) and called(node) in names for node in ast.walk(function)
    )


def helpers() -> set[str]:
    """The functions beside the tests that assert, by themselves or by others; fixtures, too."""
    found = [one for tree in TREES.values() for one in functions(tree) if not one.name.startswith("test_")]
    names = {function.name for function in found if asserts(function)}
    while more := {one.name for one in found if one.name not in names and uses(one, names)}:
        names |= more
    return names


def parameters(function: Function) -> set[str]:
    """The names that it is parametrized with, where they are written out."""
    names: set[str] = set()
    for decorator in function.decorator_list:
        if isinstance(decorator, ast.Call) and called(decorator) == "parametrize":
            given = decorator.args[0]
            if isinstance(given, ast.Constant):
                names |= {name.strip() for name in str(given.value).split(",")}
            elif isinstance(given, ast.Tuple | ast.List):
                names |= {str(item.value) for item in given.elts if isinstance(item, ast.Constant)}
    return names


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in PUBLIC


def privates(tree: ast.AST) -> Iterator[str]:
    """The private names of others that it reads, imports or replaces."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) not in ("self", "cls", "super()"):
            yield node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Call) and called(node) in ("setattr", "delattr", "getattr"):
            for argument in node.args[:2]:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield argument.value.rpartition(".")[2]


def test_they_are_found():
    assert sum(len([*cases(tree)]) for tree in TREES.values()) > 2000


def test_every_test_asserts_something():
    checking = helpers()
    found = {
        f"{name}:{function.lineno} {function.name}"
        for name, tree in TREES.items()
        for function in cases(tree)
        if not asserts(function) and not uses(function, checking)
    }
    assert found == set()


def test_no_assertion_is_content_with_one_of_two():
    found = [
        f"{name}:{node.lineno} {ast.unparse(node.test)}"
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Assert)
        and isinstance(node.test, ast.BoolOp)
        and isinstance(node.test.op, ast.Or)
    ]
    assert found == []


def test_every_parameter_of_a_test_matters():
    found = {}
    for name, tree in TREES.items():
        for function in cases(tree):
            used = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
            if unused := parameters(function) - used:
                found[f"{name}:{function.lineno} {function.name}"] = unused
    assert found == {}


def test_no_test_reaches_into_privates():
    found = {
        name: names
        for name, tree in TREES.items()
        if (names := {found for found in privates(tree) if private(found)} - FOREIGN.get(name, set()))
    }
    assert found == {}


def test_no_test_hands_something_to_the_next_one():
    """By a variable of the module: then it runs neither alone nor in another order."""
    found = [
        f"{name}:{node.lineno} global {', '.join(node.names)}"
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Global)
    ]
    assert found == []


def test_each_test_of_a_module_has_a_name_of_its_own():
    """The second of a name would hide the first, which then never runs."""
    found = {}
    for name, tree in TREES.items():
        for scope in (node for node in ast.walk(tree) if isinstance(node, ast.Module | ast.ClassDef)):
            names = [one.name for one in scope.body if isinstance(one, Function)]
            if twice := {one for one in names if one.startswith("test_") and names.count(one) > 1}:
                found[name] = twice
    assert found == {}


@pytest.mark.parametrize("workers", ["0", "1"])
def test_they_run_where_pytest_may_keep_nothing(workers):
    """In a working tree that cannot be written, say."""
    words = ["-q", "-p", "no:cacheprovider", "-n", workers, "tests/test_escape.py"]
    mine = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    mine.pop(VARIABLE, None)  # this run's workers have it from the run
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words], cwd=ROOT, env=mine, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\d+ passed", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def test_x():\n    f()", False),
        ("def test_x():\n    assert f()", True),
        ("def test_x():\n    with pytest.raises(ValueError):\n        f()", True),
        ("def test_x(template):\n    template.resource_count_is('A', 1)", True),
        ("def test_x():\n    subprocess.run(['x'], check=True)", True),
        ("def test_x():\n    subprocess.run(['x'], check=False)", False),
    ],
)
def test_what_counts_as_an_assertion(text, expected):
    [function] = cases(ast.parse(text))
    assert asserts(function) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("worker._process", {"_process"}),
        ("from ingot.retry import _pause", {"_pause"}),
        ("patch.setattr('ingot.retry._pause', 1)", {"_pause"}),
        ("patch.setattr(retry, '_pause', 1)", {"_pause"}),
        ("self._mine; one._replace(a=1); one.__class__; patch.setattr(retry, 'pause', 1)", set()),
    ],
)
def test_what_is_private(text, expected):
    assert {name for name in privates(ast.parse(text)) if private(name)} == expected
