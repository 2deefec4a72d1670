"""``ingot show``: what is in a disk image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ingot.cli.options import Environment
from ingot.errors import InputError
from ingot.recipe.digest import recipe_digest
from ingot.recipe.load import find_recipes, load_recipe
from ingot.store import Image, Store

app = typer.Typer(add_completion=False)


@app.command()
def show(
    what: Annotated[
        str, typer.Argument(metavar="NAME|DIGEST", help="A recipe, or the beginning of a digest.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest.")] = False,
    env: Environment = None,
    recipes: Annotated[Path, typer.Option(help="The directory of the recipes.")] = Path("image_recipes"),
) -> None:
    """Show what is in a disk image: system, packages, users, services, sizes, digests."""
    image = _find(what, recipes, env)
    if as_json:
        print(json.dumps(image.manifest, sort_keys=True))
        return
    print("\n".join(_lines(image)))


def _find(what: str, recipes: Path, env: str | None) -> Image:
    known = find_recipes(recipes) if recipes.is_dir() else {}
    if what not in known:
        return Store().find(what)
    digest = recipe_digest(load_recipe(known[what], env))
    image = Store().image(digest)
    if image is None:
        raise InputError(f"{what} {digest[:12]} is not baked yet", hint=f"run `ingot bake {what}`")
    return image


def _lines(image: Image) -> list[str]:
    manifest = image.manifest
    size = manifest["size"]
    system = manifest["os"]
    packages = sorted(manifest["packages"], key=lambda package: -int(package["installed_kib"]))
    files = [file for file in manifest["files"] if file["type"] == "file"]
    facts = {
        "name": manifest["name"],
        "recipe digest": manifest["recipe_digest"],
        "root digest": manifest["disk"]["root_digest"],
        "system": f"{system['pretty_name']}, kernel {system['kernel']}, {manifest['architecture']}",
        "disk": f"{size['disk'] / 2**20:.0f} MiB, {size['used'] / 2**20:.0f} MiB of it in use",
        "files": f"{len(files)} with {sum(file['size'] for file in files) / 2**20:.0f} MiB",
        "packages": f"{len(packages)}; the largest: {_largest(packages)}",
        "services": ", ".join(manifest["services"]["enabled"]),
        "users": ", ".join(
            f"{user['name']} ({user['uid']})" for user in manifest["users"] if user["uid"] >= 900
        ),
        "tests": ", ".join(test["name"] for test in manifest["tests"]) or "none",
        "file": str(image.disk),
    }
    return [f"{key + ':':15}{value}" for key, value in facts.items()]


def _largest(packages: list[dict[str, Any]]) -> str:
    return ", ".join(
        f"{package['name']} {package['installed_kib'] / 1024:.0f} MiB" for package in packages[:5]
    )
