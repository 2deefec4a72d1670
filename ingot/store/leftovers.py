"""Removing what killed processes leave in a store; :mod:`ingot.store.store` describes its locks."""

from __future__ import annotations

from pathlib import Path

from ingot.bake.packages.cache import UNFINISHED
from ingot.bake.runtime.rights import remove_tree
from ingot.locks import try_locked


def sweep(store: Path) -> None:
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
            for part in packages.glob(f"??/{UNFINISHED}*") if free else ():
                part.unlink(missing_ok=True)
    for part in (store / "records").rglob("*.part"):  # of a record that is being written: ingot.files
        if not _lives(part.suffixes[-2:-1]):
            part.unlink(missing_ok=True)


def _lives(suffix: list[str]) -> bool:
    """Tell whether there is a process of the number in ``suffix``, such as [".4711"]."""
    number = suffix[0][1:] if suffix else ""
    return number.isdigit() and Path(f"/proc/{number}").exists()
