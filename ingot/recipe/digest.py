"""The recipe digest: the identity of an image.

SHA-256 over the canonical form of the recipe, its lock, and every file that it uses: target, owner, mode,
content. Spelling does not count (order of keys, comments, blanks, a default that is written out), nor does
the directory, a file's time, or the umask; everything that can change a byte of the image does.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ingot.errors import InputError, Problem
from ingot.recipe.lock.ami import AmiLock
from ingot.recipe.lock.file import Lock, load_lock
from ingot.recipe.schema.model import Recipe
from ingot.recipe.sources.files import ImageFile, expand_files

# Raised by every change of the engine or of a default that changes what the same recipe becomes: it makes all
# digests new, so that no old image is taken for a new one.
ENGINE_FORMAT = 14


def recipe_digest(recipe: Recipe) -> str:
    """Return the digest in hex.

    Raises InputError when the lock or a file is missing, or the lock is stale.
    """
    return digest_of(recipe, load_lock(recipe), used_files(recipe))


def used_files(recipe: Recipe) -> list[ImageFile]:
    """Return the files of the image as they are on disk now; raise InputError when one cannot be used."""
    problems: list[Problem] = []
    files = expand_files(recipe, problems)
    if problems:
        raise InputError(f"the files of {recipe.name} have problems", problems=problems)
    return files


def canonical_form(recipe: Recipe, lock: Lock | AmiLock, files: list[ImageFile]) -> dict[str, Any]:
    """Return all that the digest is made of as plain JSON data: two recipes differ where these do."""
    form: dict[str, Any] = {
        "engine_format": ENGINE_FORMAT,
        "recipe": recipe.canonical(),
        "lock": lock.plain(),
        "files": [file.plain() for file in files],
    }
    for part in ("recipe", "lock"):
        form[part].pop("stages", None)
    names = recipe.stages if recipe.whole is None else {file.stage for file in files if file.stage}
    stages = {name: _form_of_stage(recipe.whole or recipe, name) for name in sorted(names)}
    return {**form, "stages": stages} if stages else form


def _form_of_stage(recipe: Recipe, name: str) -> dict[str, Any]:
    """Return the canonical form of a stage: nothing of it is the recipe's alone, so that recipes share it."""
    stage = recipe.stage(name)
    form = canonical_form(stage, load_lock(stage), used_files(stage))
    for key in ("name", "root_volume"):
        del form["recipe"][key]
    return form


def stage_digest(recipe: Recipe, name: str) -> str:
    """Return the digest of a stage: what it is made of, whatever it is called and whichever recipe has it."""
    return digest_of_form(_form_of_stage(recipe, name))


def digest_of(recipe: Recipe, lock: Lock | AmiLock, files: list[ImageFile]) -> str:
    """Return the digest of a recipe whose lock and files are read already."""
    return digest_of_form(canonical_form(recipe, lock, files))


def digest_of_form(form: dict[str, Any]) -> str:
    """Return the digest of a canonical form.

    What ``app`` and ``files`` come to is digested file by file. Where a file is in the project is no
    part of it, so that a recipe may be taken apart into files that it includes, and stay the same image.
    """
    # Of apt sources the lock has what counts: keys, and every package's hash.
    elsewhere = ("app", "apt_sources", "files")
    recipe = {key: value for key, value in form["recipe"].items() if key not in elsewhere}
    files = [{k: v for k, v in file.items() if k not in ("source", "content")} for file in form["files"]]
    whole = {**form, "recipe": recipe, "files": files}
    if "stages" in form:
        whole["stages"] = {name: digest_of_form(stage) for name, stage in form["stages"].items()}
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
