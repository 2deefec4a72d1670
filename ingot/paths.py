"""Where a project keeps its recipes, and Ingot its data on this machine.

``INGOT_HOME`` (default: ``$XDG_DATA_HOME/ingot``, that is ``~/.local/share/ingot``) holds the store and the
state of the local cloud. Everything in it can be made again.
"""

from __future__ import annotations

import os
from pathlib import Path

from ingot.errors import InputError

# In the working directory, the top of a project.
RECIPES = Path("image_recipes")
ENVIRONMENTS = Path("environments.yaml")


def home() -> Path:
    """Return the directory of all of Ingot's data; it need not be there yet.

    Raises InputError when it cannot be: a file is in its place.
    """
    named = os.environ.get("INGOT_HOME")
    data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    directory = Path(named).absolute() if named else Path(data).absolute() / "ingot"
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    if not existing.is_dir():
        raise unusable(directory, f"{existing} is no directory")
    return directory


def unusable(directory: Path, why: str) -> InputError:
    """Return the error that says that Ingot's data cannot be in ``directory``."""
    return InputError(
        f"Ingot cannot keep its data in {directory}: {why}",
        hint="set INGOT_HOME to a directory that is there or can be made",
    )


def store() -> Path:
    """Return the content-addressed store: packages, layers, disk images."""
    return home() / "store"


def cloud() -> Path:
    """Return the state of the local cloud: its address, its logs, its blocks, its machines."""
    return home() / "cloud"


def verified() -> Path:
    """Return the directory of what verifications of fleets have proved that have not ended yet."""
    return home() / "verified"
