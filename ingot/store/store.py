"""The store: ``packages/``, ``layers/`` and ``images/``, found by digest; ``work/`` for what is unfinished.

Whatever is in the first three is complete: it was built in ``work/`` and renamed. Locks are the kernel's
(flock), so a killed process holds none; the next bake removes what it left.

- A bake holds ``work/<digest>.lock`` and shares ``packages/in-use.lock``.
- Whoever uses an image shares ``work/<digest>.use.lock``.
- Whoever makes or picks a layer holds ``layers/<digest>.lock`` meanwhile, and sets the layer's time.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingot import paths
from ingot.bake.engine import MACHINES, Worker, bake, check_architecture
from ingot.bake.job import BakeDirectories, BakeJob
from ingot.bake.packages.cache import (
    PACKAGES,
    download_file,
    package_file,
    unsound_downloads,
    unsound_packages,
)
from ingot.bake.runtime.rights import KEPT, how_to_inspect, remove_tree
from ingot.errors import BakeError, IngotError, InputError, Problem, SizeError
from ingot.files import UNFINISHED, sha256_of, write_atomically
from ingot.locks import locked, try_locked
from ingot.progress import Progress, silent
from ingot.recipe.compile import compile_spec
from ingot.recipe.lock.artifacts import ARTIFACT
from ingot.recipe.lock.mirrors import addresses
from ingot.recipe.schema.model import Recipe
from ingot.spec import BakeSpec, DownloadSpec
from ingot.store.image import Image

if TYPE_CHECKING:
    from ingot.store.downloads.web import Fetched, S3Opener, Wanted
    from ingot.store.shared import SharedStore

NOTHING: Mapping[str, int] = {}
PACKED = ".tar.zst"  # how a layer's file ends, as machines share it
COLLECTING = "waiting: the store is being collected"


@dataclass(frozen=True)
class _StoreBake:
    """One bake in ``work``, whose lock is held by the descriptor ``lock``.

    ``keep`` leaves a failed bake's root directory in ``kept/``.
    """

    spec: BakeSpec
    recipe: Recipe
    work: Path
    lock: int
    keep: bool


class Store:
    """The store below ``root``. ``open_s3`` reads artifacts from S3; without it they must be here already.

    ``shared`` is asked for what is missing here, and gets what is fetched or baked here.
    """

    def __init__(
        self,
        root: Path | None = None,
        *,
        open_s3: S3Opener | None = None,
        shared: SharedStore | None = None,
    ) -> None:
        self._open_s3, self._shared = open_s3, shared
        self.root = (root or paths.store()).absolute()
        self.packages = self.root / "packages"
        self.layers = self.root / "layers"
        self.images = self.root / "images"
        self.work = self.root / "work"
        self.close_to_others()

    def close_to_others(self) -> None:
        """Let no other user read layers and images: they hold files that only the image's root may read.

        Stores of earlier versions are open; a directory of another owner's stays as it is.
        """
        for directory in (self.layers, self.images, self.work, self.root / "kept"):
            with suppress(FileNotFoundError, PermissionError):
                _take_rights(directory)

    def image(self, digest: str) -> Image | None:
        """Return the image of a recipe digest, or None."""
        directory = self.images / digest
        is_complete = all((directory / name).is_file() for name in ("manifest.json", "disk.raw"))
        if not is_complete:
            return None
        with suppress(PermissionError):
            _take_rights(directory / "disk.raw")
        return Image(digest, directory)

    def known(self, digest: str) -> Image | None:
        """Return the image of a recipe digest; None when it is unknown.

        An image that a builder instance baked has a manifest here, and no disk.
        """
        record = self._kept_manifest(digest)
        return self.image(digest) or (Image(digest, record.parent) if record.is_file() else None)

    def manifest(self, digest: str) -> dict[str, Any] | None:
        """Return the manifest of a recipe digest that is :meth:`known`, or None."""
        image = self.known(digest)
        return None if image is None else image.manifest

    def keep_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Keep the manifest of an image that was baked elsewhere: publishes and verifications need it."""
        text = json.dumps(manifest, sort_keys=True) + "\n"
        write_atomically(self._kept_manifest(str(manifest["recipe_digest"])), text)

    def _kept_manifest(self, digest: str) -> Path:
        return self.root / "records" / "manifests" / digest / "manifest.json"

    def fetch(
        self, spec: BakeSpec, progress: Progress, *, kept: Mapping[str, int] = NOTHING
    ) -> dict[str, Path]:
        """Return the file of each package of a bake spec by its SHA-256, and of what else its lock has, after
        fetching what is missing.

        ``kept``: the sizes of those that are elsewhere, by their SHA-256; these are left out.
        """
        files: dict[str, Path] = {}
        with self._packages_in_use(progress):
            for one in spec.with_stages():
                packages = tuple(p for p in one.packages if kept.get(p.sha256) != p.size)
                self._complete(replace(one, packages=packages), progress)
                files |= {p.sha256: package_file(self.packages, p.sha256) for p in packages}
        return {**files, **self.fetch_downloads(spec, progress, kept=kept)}

    def fetch_downloads(
        self, spec: BakeSpec, progress: Progress, *, kept: Mapping[str, int] = NOTHING
    ) -> dict[str, Path]:
        """Return likewise the files that come from elsewhere than the archives of packages."""
        with self._packages_in_use(progress):
            for one in spec.with_stages():
                self._complete_downloads(one, progress, kept)
        return {
            d.sha256: _file(self.packages, d)
            for one in spec.with_stages()
            for d in one.downloads()
            if kept.get(d.sha256) != d.size
        }

    def obtain(self, wanted: Wanted, progress: Progress) -> Fetched:
        """Return a file from the web or S3, fetched unless its digest is known and the store has it.

        Raises IngotError that names it.
        """
        from ingot.store.downloads.web import Fetched, fetch  # not for each bake

        if wanted.sha256 is not None:
            file = (package_file if wanted.is_package else download_file)(self.packages, wanted.sha256)
            if file.is_file() and sha256_of(file) == wanted.sha256:
                return Fetched(wanted.sha256, file.stat().st_size, file)
        with self._packages_in_use(progress):
            return fetch(wanted, self.packages, self._open_s3, progress)

    def all_images(self) -> list[Image]:
        """Return all images, the one used last first."""
        if not self.images.is_dir():
            return []
        directories = sorted(self.images.iterdir(), key=lambda path: (-path.stat().st_mtime, path.name))
        return [image for path in directories if (image := self.image(path.name)) is not None]

    def find(self, word: str) -> Image:
        """Return the image whose digest begins with ``word``; raise InputError unless it is the only one."""
        found = [image for image in self.all_images() if word and image.digest.startswith(word)]
        if len(found) == 1:
            return found[0]
        if found:
            raise InputError(
                f"{len(found)} images have digests that begin with {word}", hint="give more digits"
            )
        raise InputError(
            f"no image {word or repr(word)} in the store", hint="`ingot store ls` lists what is there"
        )

    def bake(
        self,
        recipe: Recipe,
        progress: Progress,
        *,
        force: bool = False,
        keep: bool = False,
        worker: Worker | None = None,
    ) -> Image:
        """Return the image of ``recipe``: the one in the store, or a new one.

        ``force`` bakes although there is one. ``keep`` leaves a failed bake's root directory in ``kept/``.
        ``worker``: a process that was started for it before. Bakes of the same digest wait for each other.
        Raises InputError for the recipe, BakeError for the bake.
        """
        if recipe.base.ami is not None:
            found = "a base AMI, which only a builder instance can bake on"
            hint = f"run: ingot publish {recipe.name}"
            problem = recipe.problem(
                ("base", "ami"), found, "debian or ubuntu for a bake on this machine", hint
            )
            raise InputError(found, problems=[problem])
        # The sources are read once, here: a file saved from now on must not get the digest of the old one.
        spec = compile_spec(recipe)
        digest = spec.recipe_digest
        if not force and (image := self.image(digest)) is not None:
            os.utime(image.directory)
            return image
        check_architecture(spec.architecture)  # before anything is fetched
        with self._workspace(digest, progress) as (work, lock):
            # Another process may have finished it while this one waited.
            if not force and (image := self.image(digest)) is not None:
                return image
            shared = None if force else self._shared
            if shared is not None and shared.fetch_image(spec.name, digest, work, progress):
                return self._admit(digest, work)
            if shared is not None:
                self._take_layers(spec, shared, work, progress)
            self._bake(_StoreBake(spec, recipe, work, lock, keep), progress, worker)
            if self._shared is not None:
                self._give_layers(spec, self._shared, work, progress)
            image = self._admit(digest, work)
        if self._shared is not None:
            with self.using(image):
                self._shared.keep_image(image, progress)
        return image

    def _take_layers(self, spec: BakeSpec, shared: SharedStore, work: Path, progress: Progress) -> None:
        """Get the uppermost layers that a bake can begin with, where they are missing here."""
        from ingot.store.layers import unpack_layer

        for digests in _wanted_layers(spec):
            for digest in digests:
                directory, archive = self.layers / digest, work / f"{digest}{PACKED}"
                if directory.exists():
                    break
                try:
                    if shared.fetch_layer(digest, archive, progress):
                        unpack_layer(archive, directory)
                        break
                except IngotError as error:
                    progress(f"the layer {digest[:12]} of the shared store is not used: {error.message}")
                finally:
                    archive.unlink(missing_ok=True)
        self.close_to_others()

    def _give_layers(self, spec: BakeSpec, shared: SharedStore, work: Path, progress: Progress) -> None:
        """Let the shared store have the layers of a bake: the uppermost ones, and those of packages."""
        from ingot.store.layers import pack_layer

        for digest in dict.fromkeys(
            one for digests in _wanted_layers(spec) for one in (digests[0], digests[-1])
        ):
            directory, archive = self.layers / digest, work / f"{digest}{PACKED}"
            lock = directory.with_name(f"{digest}.lock")
            with locked(lock, waiting=lambda: progress(COLLECTING), shared=True):
                if directory.exists():
                    shared.keep_layer(digest, archive, partial(pack_layer, directory), progress)
            archive.unlink(missing_ok=True)

    @contextmanager
    def baked_again(self, recipe: Recipe, progress: Progress) -> Iterator[Image]:
        """Bake ``recipe`` again from the packages alone; give the image, which exists while the body runs."""
        spec = compile_spec(recipe)
        with (
            self._workspace(f"check-{spec.recipe_digest}", progress) as (work, lock),
            self._packages_in_use(progress) as shared,
        ):
            directories = BakeDirectories(recipe.source_root, self.packages, work / "layers", work)
            bake(
                BakeJob(spec, directories),
                progress=progress,
                hold=(lock, shared),
                fetch=lambda what, stage: self._supply(what, spec.part(stage), progress),
            )
            yield Image(spec.recipe_digest, work)

    @contextmanager
    def using(self, image: Image) -> Iterator[None]:
        """Keep an image from being collected while the body uses its files."""
        with locked(self.work / f"{image.digest}.use.lock", waiting=lambda: None, shared=True):
            if self.image(image.digest) is None:
                raise IngotError(
                    f"the image {image.digest[:12]} was removed from the store a moment ago", hint="try again"
                )
            yield

    @contextmanager
    def receiving(self, digest: str, progress: Progress) -> Iterator[Path]:
        """Give an empty directory for the files of an image that was baked elsewhere.

        When the body ends, the image is in the store; when it raises, nothing is left of it.
        """
        with self._workspace(digest, progress) as (work, _):
            yield work
            self._admit(digest, work)

    def _bake(self, order: _StoreBake, progress: Progress, worker: Worker | None) -> None:
        spec, recipe, work = order.spec, order.recipe, order.work
        try:
            with self._packages_in_use(progress) as shared:
                directories = BakeDirectories(recipe.source_root, self.packages, self.layers, work)
                bake(
                    BakeJob(_with_places(spec, recipe), directories, order.keep),
                    progress=progress,
                    hold=(order.lock, shared),
                    fetch=lambda what, stage: self._supply(what, spec.part(stage), progress),
                    worker=worker,
                )
        except SizeError as error:
            # What only the bake can know has its place in the recipe all the same.
            problem = recipe.problem(
                ("root_volume", "size"), error.message, "room for the content", error.hint
            )
            raise InputError(error.message, problems=[problem]) from error
        except BakeError as error:
            if order.keep and (work / "root").is_dir():
                said = (error.hint or "").partition(KEPT)[0].rstrip()
                how = how_to_inspect(self._keep(work / "root", spec.name))
                raise error.with_hint(f"{said}\n  {how}" if said else how) from error
            raise

    def _keep(self, root: Path, name: str) -> Path:
        """Move the root directory of a failed bake to ``kept/``, over the one before it; return its path."""
        kept = self.root / "kept" / name
        remove_tree(kept)
        kept.parent.mkdir(mode=0o700, exist_ok=True)
        root.rename(kept)
        return kept

    @contextmanager
    def _packages_in_use(self, progress: Progress) -> Iterator[int]:
        """Keep packages from being collected while the body uses them; give the descriptor of the lock."""
        with locked(self.packages / "in-use.lock", waiting=lambda: progress(COLLECTING), shared=True) as lock:
            yield lock

    def _supply(self, what: str, spec: BakeSpec, progress: Progress) -> None:
        """Fetch what a layer is to be made of."""
        if what == PACKAGES:
            self._complete(spec, progress)
        else:
            self._complete_downloads(spec, progress)

    def _complete_downloads(
        self, spec: BakeSpec, progress: Progress, kept: Mapping[str, int] = NOTHING
    ) -> None:
        """Fetch what the store lacks of :meth:`BakeSpec.downloads`, but for what is ``kept`` elsewhere."""
        lacking = [
            download
            for download in unsound_downloads(spec, self.packages, progress)
            if kept.get(download.sha256) != download.size
        ]
        with self._completed_by_others({_file(self.packages, d): d.sha256 for d in lacking}, progress) as had:
            self._fetch_downloads([d for d in lacking if d.sha256 not in had], spec, progress)

    def _fetch_downloads(self, lacking: Sequence[DownloadSpec], spec: BakeSpec, progress: Progress) -> None:
        for missing in lacking:
            from ingot.store.downloads.web import Wanted

            progress(f"fetching {missing.name} ({missing.size / 1e6:.1f} MB)")
            if download_file(self.packages, missing.sha256).is_file():
                continue  # came with another one
            if missing.url.startswith("pkg:npm/"):
                self._fetch_npm(spec)
                continue
            if missing.url.startswith("pkg:pypi/"):
                self._fetch_wheel(missing, spec)
                continue
            self.obtain(
                Wanted(missing.name, missing.url, missing.size, missing.sha256, missing.is_package), progress
            )

    def _fetch_npm(self, spec: BakeSpec) -> None:
        """Fetch all that a spec has of npm packages: npm does it at once."""
        from ingot.store.downloads.node import fetch_again

        if spec.node is not None:
            with self._packages_in_use(silent):
                fetch_again(spec.node, spec.architecture, self.packages)

    def _fetch_wheel(self, wheel: DownloadSpec, spec: BakeSpec) -> None:
        from ingot.store.downloads.wheels import fetch_wheel, platform_of

        if spec.python is None:
            return
        libc6 = next((package.version for package in spec.packages if package.name == "libc6"), "")
        platform = platform_of(spec.python.python, libc6, MACHINES[spec.architecture])
        with self._packages_in_use(silent):
            fetch_wheel(wheel.url, wheel.sha256, platform, self.packages)

    def _complete(self, spec: BakeSpec, progress: Progress) -> None:
        """Fetch the packages of a bake spec that the store lacks; raise InputError if no mirror is known."""
        own = any(artifact.target is None for artifact in spec.artifacts)
        if own and any(package.archive == ARTIFACT for package in spec.packages):
            self._complete_downloads(spec, progress)
        missing = unsound_packages(spec.packages, self.packages, progress)
        files = {package_file(self.packages, package.sha256): package.sha256 for package in missing}
        with self._completed_by_others(files, progress) as had:
            missing = [package for package in missing if package.sha256 not in had]
            if missing:
                from ingot.bake.packages.fetch import fetch_packages  # not for each bake

                fetch_packages(missing, self.packages, addresses(spec), progress)

    @contextmanager
    def _completed_by_others(self, files: Mapping[Path, str], progress: Progress) -> Iterator[frozenset[str]]:
        """Get missing files, with their SHA-256, from the shared store; give the digests of those it had.

        It gets those that the body fetches.
        """
        if self._shared is None or not files:
            yield frozenset()
            return
        wanted = {digest: file for file, digest in files.items()}
        had = self._shared.fetch(wanted, progress)
        yield had
        self._shared.keep({d: f for d, f in wanted.items() if d not in had and f.is_file()}, progress)

    @contextmanager
    def _workspace(self, digest: str, progress: Progress) -> Iterator[tuple[Path, int]]:
        """Give an empty directory in which to build the image ``digest``, and the descriptor of its lock.

        The directory is removed at the end.
        """
        self.remove_leftovers()
        waiting = "waiting: another process bakes the same image"
        file = self.work / f"{digest}.lock"
        with locked(file, waiting=lambda: progress(waiting)) as lock:
            os.utime(file)  # since when it bakes: what it uses of the store is no older
            work = self.work / digest
            remove_tree(work)
            work.mkdir(mode=0o700)
            try:
                yield work, lock
            finally:
                remove_tree(work)

    def _admit(self, digest: str, work: Path) -> Image:
        target = self.images / digest
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if target.exists():
            # Baked by force. The name has no image for a moment; readers that have it open keep it.
            aside = self.work / f"{digest}.old"
            remove_tree(aside)
            target.rename(aside)
            work.rename(target)
            remove_tree(aside)
        else:
            work.rename(target)
        return Image(digest, target)

    def remove_leftovers(self) -> None:
        """Remove what killed processes left in the store. What a running one works on is locked and stays."""
        _sweep(self.root)


def _wanted_layers(spec: BakeSpec) -> list[list[str]]:
    """Return the digests of layers that a bake can begin with: of the image and of each stage, those that
    save most first.
    """
    # A bake with nothing to do need not wait for the engine to be imported.
    from ingot.bake.layers.lower import layer_digests, stage_layer_digest

    stages = [[stage_layer_digest(stage), *layer_digests(stage)] for stage in spec.stages]
    return [layer_digests(spec), *stages]


def _take_rights(path: Path) -> None:
    """Take all rights to ``path`` from its group and from others."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        path.chmod(mode & ~0o077)


def _file(directory: Path, download: DownloadSpec) -> Path:
    return (package_file if download.is_package else download_file)(directory, download.sha256)


def _place(problem: Problem) -> str:
    return f"{problem.file}:{problem.line}:{problem.column}"


def _with_places(spec: BakeSpec, recipe: Recipe) -> BakeSpec:
    """Return the spec with its steps and units located from the current directory, as errors name them."""
    here = Path.cwd()

    def shown(name: str) -> str:
        file = Path(os.path.normpath(recipe.directory.absolute() / name))
        return str(file.relative_to(here) if file.is_relative_to(here) else file)

    def located(one: BakeSpec) -> BakeSpec:
        steps = tuple(step._replace(file=shown(step.file)) for step in one.steps)
        files = tuple(
            file if file.place is None else file._replace(place=shown(file.place)) for file in one.files
        )
        return replace(one, steps=steps, files=files)

    units = {
        f"{verb} {unit}": _place(recipe.problem(("services", verb, number), unit, "a unit"))
        for verb in ("enable", "disable", "mask")
        for number, unit in enumerate(getattr(recipe.services, verb))
    }
    stages = tuple(located(stage) for stage in spec.stages)
    return replace(located(spec), stages=stages, unit_places=units)


def _sweep(store: Path) -> None:
    """Remove unfinished images, layers, disks, downloads and records.

    What a running process works on is locked and stays.
    """
    work, layers = store / "work", store / "layers"
    for directory in (work, layers, *layers.glob("*/disks")):
        for path in sorted(directory.glob("*")) if directory.is_dir() else []:
            if path.suffix != ".lock" and (directory == work or path.suffix == ".tmp"):
                with try_locked(directory / f"{path.name.split('.')[0]}.lock") as free:
                    if free:
                        remove_tree(path)
    packages = store / "packages"
    if packages.is_dir():
        with try_locked(packages / "in-use.lock") as free:
            for part in packages.glob(f"??/.*{UNFINISHED}") if free else ():
                part.unlink(missing_ok=True)
    for part in (store / "records").rglob(f"*{UNFINISHED}"):
        if not _lives(part.suffixes[-2:-1]):
            part.unlink(missing_ok=True)


def _lives(suffix: list[str]) -> bool:
    """Tell whether there is a process of the number in ``suffix``, such as [".4711"]."""
    number = suffix[0][1:] if suffix else ""
    return number.isdigit() and Path(f"/proc/{number}").exists()
