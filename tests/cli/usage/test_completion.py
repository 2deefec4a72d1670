"""Completion in a shell: what bash's function asks `ingot` for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
DIGEST = "7f" * 32


@pytest.fixture
def complete(tmp_path):
    for name in ("web", "worker", "no-recipe"):
        (tmp_path / "image_recipes" / name).mkdir(parents=True)
    for name in ("web", "worker"):
        (tmp_path / "image_recipes" / name / "recipe.yaml").touch()
    (tmp_path / "home" / "store" / "images" / DIGEST).mkdir(parents=True)

    def ask(line: str) -> list[str]:
        environ = {
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(line.split(" ")) - 1),
            "_INGOT_COMPLETE": "complete_bash",
            "INGOT_HOME": str(tmp_path / "home"),
        }
        done = subprocess.run(
            [BIN / "ingot"],
            cwd=tmp_path,
            env=os.environ | environ,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr == ""
        return done.stdout.split()

    return ask


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("ingot sta", ["status"]),
        ("ingot bake w", ["web", "worker"]),
        ("ingot bake wo", ["worker"]),
        ("ingot lock ", ["web", "worker"]),
        ("ingot boot 7", [DIGEST]),
        ("ingot bake 7", []),
        ("ingot cloud do", ["down"]),
        ("ingot bake --fo", ["--force"]),
    ],
)
def test_commands_options_recipes_and_images_are_offered(line, offered, complete):
    assert complete(line) == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(shell):
    # What --install-completion writes; which shell that is, it takes from the process that calls it.
    environ = os.environ | {"_INGOT_COMPLETE": f"source_{shell}"}
    done = subprocess.run([BIN / "ingot"], env=environ, capture_output=True, text=True, check=True)
    assert "_INGOT_COMPLETE" in done.stdout
