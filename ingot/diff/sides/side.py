"""One side of an image diff: a manifest, and its disk where available."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any

from ingot.bake.disk import read_ext4
from ingot.errors import InputError
from ingot.store.package_files import LISTS, followed, package_files

# Stands for an image that is not there: what has no before is all new.
_NOTHING: dict[str, Any] = {
    "name": "",
    "recipe_digest": "",
    "version": "",
    "architecture": "",
    "epoch": 0,
    "os": {},
    "packages": [],
    "users": [],
    "groups": [],
    "services": {},
    "files": [],
    "tests": [],
    "boot": {},
    "size": {},
    "disk": {},
}


def _check_parts(manifest: Mapping[str, Any]) -> None:
    """Raise InputError unless ``manifest`` has all that is compared. The store has checked its format."""
    missing = [key for key in _NOTHING if key not in manifest]
    if missing:
        image = f"{manifest.get('name', '?')} {manifest.get('version', '?')}"
        raise InputError(
            f"the manifest of {image} is damaged: it lacks {', '.join(missing)}",
            hint="bake the image again: ingot bake --force NAME",
        )


class Side:
    """A manifest and its disk. A context manager: it closes the disk."""

    def __init__(self, manifest: Mapping[str, Any] | None, disk: Path | None) -> None:
        """Take an image, whose manifest is of this version's format; no manifest stands for no image.

        Raises InputError for a manifest with parts missing, BakeError for a damaged disk.
        """
        self.exists = manifest is not None
        self.manifest: Mapping[str, Any] = _NOTHING if manifest is None else manifest
        if manifest is not None:
            _check_parts(manifest)
        self._open = ExitStack()
        self._reader = None if disk is None else self._open.enter_context(read_ext4(disk))

    def __enter__(self) -> Side:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    @property
    def has_disk(self) -> bool:
        """Whether contents can be read."""
        return self._reader is not None

    @cached_property
    def files(self) -> dict[str, dict[str, Any]]:
        """The manifest's files by path."""
        return {file["path"]: file for file in self.manifest["files"]}

    @cached_property
    def users(self) -> dict[int, str]:
        """Names of users by number; of several, the first."""
        return {user["uid"]: user["name"] for user in reversed(self.manifest["users"])}

    @cached_property
    def groups(self) -> dict[int, str]:
        """Names of groups by number; of several, the first."""
        return {group["gid"]: group["name"] for group in reversed(self.manifest["groups"])}

    def read(self, path: str) -> bytes | None:
        """Return the content of the regular file ``path``; None without a disk, or without such a file."""
        file = self.files.get(path)
        if self._reader is None or file is None or file["type"] != "file":
            return None
        return self._reader.read(path)

    def follow(self, path: str) -> str:
        """Return where ``path`` leads when links are followed, in its directories as well."""
        return followed(self.files, path)

    def below(self, directory: str) -> list[str]:
        """Return the paths of all that lies below ``directory``, sorted."""
        # "0" is the character behind the slash.
        start, end = (bisect_left(self._sorted, f"{directory}{edge}") for edge in "/0")
        return self._sorted[start:end]

    @cached_property
    def _sorted(self) -> list[str]:
        return sorted(self.files)

    @cached_property
    def owners(self) -> dict[str, str]:
        """Which package brought a path: dpkg's own lists, with the links of a merged /usr followed.

        Nothing without a disk.
        """
        if self._reader is None:
            return {}
        owners: dict[str, str] = {}
        for name, paths in package_files(self.files, self.below(LISTS.rstrip("/")), self._reader.read):
            owners.update(dict.fromkeys(paths, name.partition(":")[0]))
        return owners
