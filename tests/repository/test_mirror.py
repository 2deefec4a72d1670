"""Tests mirror the trees: who looks for the tests of a module finds them at its path, below ``tests/``."""

from __future__ import annotations

from pathlib import Path

from tests import ROOT

# Folders with a subject of their own, which is of no one package.
SUBJECTS = {
    "audit": "what no package holds: calls, permissions and messages as a whole",
    "aws/every_call": "each call of AWS fails, or is never answered",
    "bake/containment": "what packages and programs can touch of the machine",
    "e2e": "stories from a recipe to a fleet",
    "examples": "examples/",
    "fidelity": "images beside those of mmdebstrap",
    "fuzz": "mutated input files",
    "localcloud/builder_real": "builder instances that boot",
    "localcloud/clients": "programs of others",
    "localcloud/parity": "AWS's documentation, page by page",
    "repository": "the repository as a whole",
    "running": "on which worker pytest runs a test",
    "web": "image_recipes/web",
}
# A module of their name is further below, and they are about more than that.
ABOUT_MORE = {
    "recipe/test_stages.py": "stages from their text to their specs; recipe/schema/stages.py is their form",
}
OTHER_TREES = {"bench", "localcloud", "stacks", "tools"}
TESTS = sorted(path.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py"))
# The product is a namespace, and so is the local cloud's project: neither has an __init__.py of its own.
PACKAGES = {
    ROOT / "ingot",
    *(
        file.parent
        for tree in ("ingot", *OTHER_TREES)
        for file in (ROOT / tree).rglob("*.py")
        if "templates" not in file.parts
    ),
}


def package_of(test: Path) -> Path:
    """The folder of the tree that a test's folder mirrors."""
    return (ROOT if test.parts[0] in OTHER_TREES else ROOT / "ingot") / test.parent


def module_of(test: Path) -> str:
    return test.stem.removeprefix("test_").removesuffix("_real")


def is_module(folder: Path, name: str) -> bool:
    return (folder / f"{name}.py").is_file() or folder / name in PACKAGES


def modules_below(test: Path) -> list[str]:
    """The packages, below the one that it mirrors, with a module of its name."""
    package = package_of(test)
    return [
        str(folder.relative_to(ROOT))
        for folder in sorted(PACKAGES)
        if package in folder.parents and is_module(folder, module_of(test))
    ]


def subject_of(test: Path) -> str | None:
    return next((name for name in SUBJECTS if test.is_relative_to(name)), None)


MIRRORING = [test for test in TESTS if subject_of(test) is None]


def test_there_are_tests_of_both_kinds():
    assert len(MIRRORING) > 200
    assert {subject_of(test) for test in TESTS} == {*SUBJECTS, None}


def test_a_test_is_in_the_folder_of_a_package():
    assert [str(test) for test in MIRRORING if package_of(test) not in PACKAGES] == []


def test_a_test_of_one_module_is_no_further_up_than_the_module():
    """One that is not named after a module is about the package that it is in."""
    found = {
        str(test): below
        for test in MIRRORING
        if len(test.parts) > 1
        and not is_module(package_of(test), module_of(test))
        and (below := modules_below(test))
    }
    assert found.keys() == ABOUT_MORE.keys(), found


def test_a_test_beside_the_packages_is_of_a_module_there():
    beside = [test for test in MIRRORING if len(test.parts) == 1]
    assert len(beside) > 5
    assert [str(test) for test in beside if not is_module(ROOT / "ingot", module_of(test))] == []


def test_a_subject_is_no_package():
    assert [name for name in SUBJECTS if package_of(Path(name) / "test.py") in PACKAGES] == []
