"""Small locked recipes to make constructs of."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

RECIPE = """\
name: {name}
base: {{debian: bookworm}}
architecture: {architecture}
root_volume: {{size: {size}}}
files:
  - {{target: /etc/motd, content: "{motd}"}}
"""
LOCK = {
    "format": 1,
    "distribution": {"id": "debian", "suite": "bookworm"},
    "architecture": "amd64",
    "epoch": 1700000000,
    "packages": [
        {
            "name": "base-files",
            "version": "12.4",
            "architecture": "all",
            "sha256": "ab" * 32,
            "size": 10,
            "path": "pool/main/b/base-files/base-files_12.4_all.deb",
            "archive": "debian",
            "suite": "bookworm",
            "essential": True,
            "role": "install",
        }
    ],
    "requested": {"base": [], "packages": [], "tools": []},
}


def write_recipe(
    root: Path,
    name: str = "web",
    *,
    size: str = "2GiB",
    motd: str = "hello",
    architecture: str = "x86_64",
    configured: str = "",
    requested: Mapping[str, Sequence[str]] | None = None,
) -> Path:
    """Write a recipe and its lock below ``root``/image_recipes; return the recipe's directory.

    ``configured``: the text of a recipe with a configuration, in the place of the small one.
    ``requested``: what its lock was made for.
    """
    directory = root / "image_recipes" / name
    directory.mkdir(parents=True, exist_ok=True)
    recipe = RECIPE.format(name=name, size=size, motd=motd, architecture=architecture)
    (directory / "recipe.yaml").write_text(configured or recipe)
    lock = LOCK | {"architecture": {"x86_64": "amd64", "arm64": "arm64"}[architecture]}
    if configured:
        lock["requested"] = {"base": ["ca-certificates", "openssl"], "packages": [], "tools": []}
    if requested is not None:
        lock["requested"] = {"base": [], "packages": [], "tools": [], **requested}
    (directory / "recipe.lock").write_text(json.dumps(lock))
    return directory
