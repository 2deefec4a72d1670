"""The shape of the tree: a folder is a concept, and no folder grows until its files need prefixes."""

from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
TREES = ("ingot", "localcloud", "stacks", "bench", "tests")
MODULES = 14
SAME_PREFIX = 3
# One module a command.
FLAT = {ROOT / "ingot" / "cli"}


def folders() -> dict[Path, list[str]]:
    """Every folder with Python modules, and their names."""
    found: dict[Path, list[str]] = {}
    for tree in TREES:
        for file in sorted((ROOT / tree).rglob("*.py")):
            if file.name not in ("__init__.py", "__main__.py", "conftest.py"):
                found.setdefault(file.parent, []).append(file.stem)
    return found


FOLDERS = {str(folder.relative_to(ROOT)): names for folder, names in folders().items() if folder not in FLAT}


def test_the_folders_are_found():
    assert {"ingot/bake/disk/ext4", "localcloud/core", "stacks", "tests"} <= set(FOLDERS)


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_folder_has_more_modules_than_a_reader_takes_in(folder):
    assert len(FOLDERS[folder]) <= MODULES, FOLDERS[folder]


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_folder_hides_a_package_in_a_prefix(folder):
    names = [name.removeprefix("test_") for name in FOLDERS[folder]]
    prefixes = Counter(name.split("_")[0] for name in names)
    families = {prefix: count for prefix, count in prefixes.items() if count > SAME_PREFIX}
    assert not families, [name for name in names if name.split("_")[0] in families]
