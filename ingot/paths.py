"""Where Ingot keeps its data on this machine.

``INGOT_HOME`` (default: ``$XDG_DATA_HOME/ingot``, that is ``~/.local/share/ingot``) holds the store and the
state of the local cloud. Everything in it can be made again.
"""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """Return the directory of all of Ingot's data."""
    named = os.environ.get("INGOT_HOME")
    if named:
        return Path(named).absolute()
    data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(data).absolute() / "ingot"


def store() -> Path:
    """Return the content-addressed store: packages, layers, disk images."""
    return home() / "store"


def cloud() -> Path:
    """Return the state of the local cloud: its address, its logs, its blocks, its machines."""
    return home() / "cloud"
