"""The store: ``packages/``, ``layers/`` and ``images/``, each found by digest; ``work/`` for what is being made.

Whatever is in the first three is whole: it was made in ``work`` and renamed. Locks are those of the kernel (flock), so a killed process
leaves none; what it left in ``work`` is removed by the next one that needs the place.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ingot import paths
from ingot.bake.engine import bake
from ingot.bake.fetch import fetch_packages, package_file
from ingot.bake.foreign import check_architecture
from ingot.bake.locks import is_locked, locked
from ingot.bake.rights import check_rights, remove_tree
from ingot.errors import BakeError, InputError, SizeError
from ingot.recipe.digest import recipe_digest
from ingot.recipe.mirrors import addresses
from ingot.recipe.model import Recipe
from ingot.recipe.plan import compile_plan

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Image:
    """A disk image in the store. ``digest`` is the recipe digest, in hex."""

    digest: str
    directory: Path

    @property
    def disk(self) -> Path:
        """The raw disk, a sparse file."""
        return self.directory / "disk.raw"

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What is in the image."""
        manifest: dict[str, Any] = json.loads((self.directory / "manifest.json").read_text(encoding="utf-8"))
        return manifest

    @property
    def name(self) -> str:
        """The recipe's name."""
        return str(self.manifest["name"])

    @property
    def root_digest(self) -> str:
        """The digest over all blocks of the disk."""
        return str(self.manifest["disk"]["root_digest"])


class Store:
    """The store below ``root``."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = (root or paths.store()).absolute()
        self.packages = self.root / "packages"
        self.layers = self.root / "layers"
        self.images = self.root / "images"
        self.work = self.root / "work"

    def image(self, digest: str) -> Image | None:
        """Return the image of a recipe digest, or None."""
        directory = self.images / digest
        return Image(digest, directory) if (directory / "manifest.json").is_file() else None

    def manifest(self, digest: str) -> dict[str, Any] | None:
        """Return the manifest of a recipe digest: of an image here, or of one that a builder instance baked; None when it is unknown."""
        image = self.image(digest)
        if image is not None:
            return image.manifest
        try:
            manifest: dict[str, Any] = json.loads(self._kept_manifest(digest).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return manifest

    def keep_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Keep the manifest of an image that was baked elsewhere: later publishes and verifications need it."""
        path = self._kept_manifest(str(manifest["recipe_digest"]))
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(manifest, sort_keys=True) + "\n", encoding="utf-8")
        part.replace(path)

    def _kept_manifest(self, digest: str) -> Path:
        return self.root / "records" / "manifests" / f"{digest}.json"

    def fetch(self, plan: Mapping[str, Any], progress: Progress) -> dict[str, Path]:
        """Return the file of each package of a plan by its SHA-256, after fetching what is not here."""
        self._fetch(plan, progress)
        return {entry["sha256"]: package_file(self.packages, entry["sha256"]) for entry in plan["packages"]}

    def all_images(self) -> list[Image]:
        """Return all images, the one used last first."""
        if not self.images.is_dir():
            return []
        directories = sorted(self.images.iterdir(), key=lambda path: (-path.stat().st_mtime, path.name))
        return [image for path in directories if (image := self.image(path.name)) is not None]

    def find(self, word: str) -> Image:
        """Return the image whose digest begins with ``word``. Raises InputError when there is none, or more than one."""
        found = [image for image in self.all_images() if word and image.digest.startswith(word)]
        if len(found) == 1:
            return found[0]
        if found:
            raise InputError(
                f"{len(found)} images have digests that begin with {word}", hint="give more digits"
            )
        raise InputError(f"no image {word} in the store", hint="`ingot store` lists what is there")

    def bake(self, recipe: Recipe, progress: Progress, *, force: bool = False, keep: bool = False) -> Image:
        """Return the image of ``recipe``: the one in the store, or a new one.

        ``force`` bakes although there is one. ``keep`` leaves the root directory of a failed bake in ``kept/``. Bakes of the
        same digest wait for each other. Raises InputError for the recipe, BakeError for the bake.
        """
        digest = recipe_digest(recipe)
        if not force and (image := self.image(digest)) is not None:
            os.utime(image.directory)
            return image
        plan = compile_plan(recipe)
        check_architecture(plan["architecture"])  # before anything is fetched
        check_rights()
        with self._workspace(plan["recipe_digest"], progress) as work:
            # Another process may have finished it while this one waited.
            if not force and (image := self.image(digest)) is not None:
                return image
            self._bake(plan, recipe, work, keep, progress)
            return self._admit(digest, work)

    def check(self, recipe: Recipe, progress: Progress) -> tuple[dict[str, Any], Path]:
        """Bake ``recipe`` again from nothing but the packages; return the manifest, and the disk, which the caller removes with its directory."""
        plan = compile_plan(recipe)
        work = self.work / f"check-{plan['recipe_digest']}"
        remove_tree(work)
        try:
            self._fetch(plan, progress)
            manifest = bake(
                plan,
                sources=recipe.source_root,
                packages=self.packages,
                layers=work / "layers",
                output=work,
                progress=progress,
            )
        except BaseException:
            remove_tree(work)
            raise
        remove_tree(work / "layers")
        return manifest, work / "disk.raw"

    def _bake(
        self, plan: Mapping[str, Any], recipe: Recipe, work: Path, keep: bool, progress: Progress
    ) -> None:
        self._fetch(plan, progress)
        try:
            bake(
                plan,
                sources=recipe.source_root,
                packages=self.packages,
                layers=self.layers,
                output=work,
                progress=progress,
                keep=keep,
            )
        except SizeError as error:
            # What only the bake can know has its place in the recipe all the same.
            problem = recipe.problem(
                ("root_volume", "size"), error.message, "room for the content", error.hint
            )
            raise InputError(error.message, problems=[problem]) from error
        except BakeError as error:
            if keep and (work / "root").is_dir():
                kept = self.root / "kept" / plan["name"]
                remove_tree(kept)
                kept.parent.mkdir(exist_ok=True)
                (work / "root").rename(kept)
                error.hint = f"the root directory is kept in {kept}"
            raise

    def _fetch(self, plan: Mapping[str, Any], progress: Progress) -> None:
        try:
            mirrors: Mapping[str, list[str]] = addresses(plan)
        except InputError as error:
            # Without a mirror a bake can still do with what the store holds.
            progress(f"no mirror: {error.message}")
            mirrors = {}
        fetch_packages(plan["packages"], self.packages, mirrors, progress)

    @contextmanager
    def _workspace(self, digest: str, progress: Progress) -> Iterator[Path]:
        """Yield an empty directory for making the image ``digest``, under its lock; remove it at the end."""
        waiting = "waiting: another process bakes the same image"
        with locked(self.work / f"{digest}.lock", waiting=lambda: progress(waiting)):
            work = self.work / digest
            remove_tree(work)
            work.mkdir()
            try:
                yield work
            finally:
                remove_tree(work)

    def _admit(self, digest: str, work: Path) -> Image:
        target = self.images / digest
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            # Made by force. A name that exists is never without its image for long; readers that have it open keep it.
            aside = self.work / f"{digest}.old"
            remove_tree(aside)
            target.rename(aside)
            work.rename(target)
            remove_tree(aside)
        else:
            work.rename(target)
        return Image(digest, target)

    def remove_leftovers(self) -> None:
        """Remove what killed processes left in ``work`` and ``layers``."""
        for directory in (self.work, self.layers):
            for path in sorted(directory.glob("*")) if directory.is_dir() else []:
                name = path.name.split(".")[0].removeprefix("check-")
                lock = directory / f"{name}.lock"
                unfinished = directory == self.work or path.name.endswith(".tmp")
                if unfinished and path != lock and not is_locked(lock):
                    remove_tree(path)
