"""A layer as one file, as machines share it: owners, links, holes and attributes are kept.

Its disks are left out: they are made again from it in a second or two.
"""

from __future__ import annotations

import os
from pathlib import Path

from ingot.bake.runtime.rights import own_mounts, remove_tree
from ingot.errors import IngotError
from ingot.files import making
from ingot.locks import locked
from ingot.process import CommandError, require, run


def pack_layer(directory: Path, archive: Path) -> None:
    """Write the layer in ``directory`` to ``archive``. Raises CommandError."""
    words = ["--create", "--file", str(archive), *form(archive), "--sparse", "--anchored"]
    tar([*words, "--exclude=./disks", "--directory", str(directory), "."])


def unpack_layer(archive: Path, directory: Path) -> None:
    """Make ``directory`` the layer that ``archive`` holds, whole or not at all, unless it is there.

    Raises IngotError for a file that holds no layer.
    """
    file = ["--file", str(archive), *form(archive)]
    with locked(directory.with_name(f"{directory.name}.lock"), waiting=lambda: None):
        if directory.exists():
            return
        try:
            with making(directory, remove_tree) as aside:
                aside.mkdir(parents=True, mode=0o700)
                names = tar(["--list", *file]).splitlines()
                foreign = [name for name in names if not name.startswith("./") or ".." in name.split("/")]
                if foreign or not {"./index", "./root/", "./tools/"} <= {*names}:
                    raise IngotError(f"it is not a layer: it holds {foreign[0] if foreign else 'no index'}")
                tar(["--extract", *file, "--directory", str(aside)])
                os.utime(aside)  # used just now, for the collection of garbage
        except CommandError as error:
            raise IngotError(f"it cannot be unpacked: {error}") from error


def form(archive: Path) -> list[str]:
    """Return tar's options for what is kept, and for the archive's compression by its name."""
    compressed = ["--zstd"] if archive.name.endswith(".zst") else []
    return [
        *compressed,
        "--numeric-owner",
        "--xattrs",
        "--xattrs-include=*",
        "--same-permissions",
        "--same-owner",
    ]


def tar(words: list[str]) -> str:
    """Run tar, and return what it prints. Raises CommandError."""
    # An ordinary user's layers hold files of subordinate ids, which only its user namespace can read.
    program = require("tar", needed_for="pack the store")
    return run([*own_mounts(), program, *words]).stdout
