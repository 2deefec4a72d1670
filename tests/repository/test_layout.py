"""The shape of the tree: a folder is a concept, and no folder grows until its files need prefixes; and the
shape of functions: what is passed along together is a value with a name.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingot.cli.main import COMMANDS

ROOT = Path(__file__).parent.parent.parent
TREES = ("ingot", "localcloud", "stacks", "bench", "tools", "tests")
MODULES = 14
SAME_PREFIX = 3
PARAMETERS = 5
# Methods whose parameters a base class gives: urllib.request.HTTPRedirectHandler's.
GIVEN = {"redirect_request"}
# Exactly one module a command, and the one that finds them: as many as there are commands.
COMMAND_LINE = ROOT / "ingot" / "cli"


def folders() -> dict[Path, list[str]]:
    """Every folder with Python modules, and their names."""
    found: dict[Path, list[str]] = {}
    for tree in TREES:
        for file in sorted((ROOT / tree).rglob("*.py")):
            if file.name not in ("__init__.py", "__main__.py", "conftest.py"):
                found.setdefault(file.parent, []).append(file.stem)
    return found


# Constructs and keys of recipes have the names that users know; inside, a machine and a clone are others.
SHARED_NAMES = {"Clone", "Configuration", "Machine", "Volume"}

FOLDERS = {
    str(folder.relative_to(ROOT)): names for folder, names in folders().items() if folder != COMMAND_LINE
}


def test_the_folders_are_found():
    assert {"ingot/bake/disk/ext4", "localcloud/core", "stacks", "tests"} <= set(FOLDERS)


def test_the_command_line_has_one_module_a_command_and_the_one_that_finds_them():
    assert set(folders()[COMMAND_LINE]) == {*COMMANDS, "main"}


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_folder_has_more_modules_than_a_reader_takes_in(folder):
    assert len(FOLDERS[folder]) <= MODULES, FOLDERS[folder]


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_folder_hides_a_package_in_a_prefix(folder):
    names = [name.removeprefix("test_") for name in FOLDERS[folder]]
    prefixes = Counter(name.split("_")[0] for name in names)
    families = {prefix: count for prefix, count in prefixes.items() if count > SAME_PREFIX}
    assert not families, [name for name in names if name.split("_")[0] in families]


def functions(tree: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every function below a tree, with its place."""
    for file in sorted((ROOT / tree).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{file.relative_to(ROOT)}:{node.lineno} {node.name}", node


def positional(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How many arguments a call may give by position.

    Parameters that are keyword-only are excepted: the call names them, as the CDK's constructs do theirs. So
    are commands, whose parameters are the options of the command line, and methods of foreign base classes.
    """
    if function.name in GIVEN or any(
        ast.unparse(decorator).startswith("app.command") for decorator in function.decorator_list
    ):
        return 0
    names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


@pytest.mark.parametrize("tree", [tree for tree in TREES if tree != "tests"])
def test_no_function_takes_more_positional_parameters_than_a_caller_keeps_apart(tree):
    counts = {place: positional(function) for place, function in functions(tree)}
    assert counts
    assert not {place: count for place, count in counts.items() if count > PARAMETERS}


@pytest.mark.parametrize("tree", ["ingot", "localcloud"])
def test_a_class_has_a_name_of_its_own(tree):
    """A private one, too: an underscore tells nobody which of two is meant."""
    places: dict[str, list[str]] = {}
    for file in sorted((ROOT / tree).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef) and "templates" not in file.parts:
                places.setdefault(node.name.lstrip("_"), []).append(str(file.relative_to(ROOT)))
    assert len(places) > 100
    assert not {name: files for name, files in places.items() if len(files) > 1 and name not in SHARED_NAMES}
