"""npm packages from the registry that this machine knows, fetched by npm with its own configuration.

npm fills a cache of its own, into which it takes nothing without the hash that the lock file says; from there
the archives come into the store. Registry, proxies and credentials are npm's matter (.npmrc, environment).
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from ingot.bake.packages.cache import download_file
from ingot.errors import IngotError, InputError, Problem
from ingot.files import keep, sha256_of, unfinished
from ingot.process import CommandError, require, run
from ingot.progress import Progress
from ingot.recipe.lock.node import (
    LockedNode,
    LockedNpmPackage,
    NpmFiles,
    npm_files,
    read_entries,
    require_node,
)
from ingot.recipe.schema.model import Recipe
from ingot.spec import NodeSpec

# The last one for the Node.js of Debian bookworm and Ubuntu noble, 18.19 (its package.json, "engines").
INSTALLER = "npm@10"
_CPUS = {"x86_64": "x64", "arm64": "arm64"}
_OPTIONS = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")
# Seconds.
LONGEST = 3600


def lock_node(
    recipe: Recipe, versions: Mapping[str, str], known: LockedNode | None, directory: Path, progress: Progress
) -> LockedNode:
    """Return the recipe's npm packages as they are to be locked, their archives in ``directory``.

    ``versions`` are those of the image's packages. What is ``known`` stays while package.json and
    package-lock.json do. Raises InputError with the place of each package that cannot be taken.
    """
    require_node(recipe, versions)
    files = npm_files(recipe)
    cpu = _CPUS[recipe.architecture]
    entries = read_entries(recipe, files, cpu)
    if known is not None and known.files_sha256 == files.sha256:
        wanted = {entry.sha512 for entry in entries}
        if {package.sha512 for package in known.packages} == wanted:
            return known
    progress(f"fetching {len(entries)} npm packages")
    kept = fetch(files, cpu, {entry.sha512 for entry in entries}, directory)
    missing = [entry for entry in entries if entry.sha512 not in kept]
    if missing:
        problems: list[Problem] = []
        for entry in missing:
            what = f"{entry.name} {entry.version}, which npm did not fetch"
            problems.append(files.problem(entry.at, what, "a package that it installs for this platform"))
        raise InputError(f"{files.path}: npm left packages out", problems=problems)
    found = {(entry.name, entry.version, entry.sha512, *kept[entry.sha512]) for entry in entries}
    return LockedNode(
        files_sha256=files.sha256,
        installer=_installer(directory) if known is None else known.installer,
        packages=tuple(_locked(*one) for one in sorted(found)),
    )


def fetch(files: NpmFiles, cpu: str, wanted: Iterable[str], directory: Path) -> Mapping[str, tuple[str, int]]:
    """Have npm fetch what a lock file names; return SHA-256 and bytes of what is ``wanted``, by SHA-512.

    Raises IngotError with npm's own words.
    """
    npm = require("npm", needed_for="fetch npm packages")
    directory.mkdir(parents=True, exist_ok=True)
    found: dict[str, tuple[str, int]] = {}
    with tempfile.TemporaryDirectory(prefix="ingot-npm-", dir=directory) as work:
        place, cache = Path(work) / "app", Path(work) / "cache"
        place.mkdir()
        (place / "package.json").write_text(files.manifest, encoding="utf-8")
        (place / "package-lock.json").write_text(files.lock, encoding="utf-8")
        platform = ["--os=linux", f"--cpu={cpu}", "--libc=glibc"]
        try:
            run([npm, "ci", *_OPTIONS, *platform, f"--cache={cache}"], cwd=place, timeout=LONGEST)
        except CommandError as error:
            raise IngotError(
                f"npm cannot fetch the packages of {files.path}:\n{error.output.strip()}",
                hint="npm's registry on this machine is what `npm config get registry` says",
            ) from error
        for sha512 in wanted:
            content = cache / "_cacache/content-v2/sha512" / sha512[:2] / sha512[2:4] / sha512[4:]
            if content.is_file():
                found[sha512] = _keep(content, directory)
    return found


def fetch_again(node: NodeSpec, architecture: str, directory: Path) -> None:
    """Fetch the packages of a lock, and npm itself. Raises IngotError for what is not there any more."""
    files = NpmFiles(Path("package-lock.json"), node.lock, node.manifest)
    kept = fetch(files, _CPUS[architecture], {package.sha512 for package in node.packages}, directory)
    installer = node.installer
    if not download_file(directory, installer.sha256).is_file():
        _installer(directory, f"npm@{installer.version}")
    for package in node.packages:
        if package.sha512 not in kept:
            raise IngotError(f"{package.name} {package.version} cannot be fetched from the npm registry")


def _keep(content: Path, directory: Path) -> tuple[str, int]:
    digest, size = sha256_of(content), content.stat().st_size
    target = download_file(directory, digest)
    target.parent.mkdir(parents=True, exist_ok=True)
    with unfinished(target.parent) as copy:
        shutil.copyfile(content, copy)
        keep(copy, target)
    return digest, size


def _installer(directory: Path, wanted: str = INSTALLER) -> LockedNpmPackage:
    """Return npm itself, of the newest version that the images' Node.js runs."""
    with tempfile.TemporaryDirectory(prefix="ingot-npm-", dir=directory) as work:
        npm = require("npm", needed_for="fetch npm packages")
        try:
            run([npm, "pack", wanted, "--silent", f"--cache={work}/cache"], cwd=Path(work), timeout=LONGEST)
        except CommandError as error:
            raise IngotError(f"npm itself cannot be fetched:\n{error.output.strip()}") from error
        file = next(Path(work).glob("npm-*.tgz"))
        sha512 = hashlib.sha512(file.read_bytes()).hexdigest()
        return _locked("npm", file.stem.removeprefix("npm-"), sha512, *_keep(file, directory))


def _locked(name: str, version: str, sha512: str, sha256: str, size: int) -> LockedNpmPackage:
    return LockedNpmPackage(name=name, version=version, sha512=sha512, sha256=sha256, size=size)
