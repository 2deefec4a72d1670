"""What an image leaves out of its packages: documentation, manual pages, translations, names of devices.

Copyright files always stay.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Iterable, List, Mapping

from ingot.bake.runtime.chroot import in_root
from ingot.spec import DropSpec

# Patterns in dpkg's path-exclude and path-include form (dpkg(1)): "*" matches "/" too; the last one that
# matches decides.
# All of them are below these: thousands of other paths need no look.
_TOPS = ("/usr/share/", "/lib/udev/", "/usr/lib/udev/")
_PATTERNS: Mapping[str, List[str]] = {
    "docs": [
        "path-exclude=/usr/share/doc/*",
        "path-include=/usr/share/doc/*/copyright",
        "path-exclude=/usr/share/doc-base/*",
        "path-exclude=/usr/share/info/*",
        "path-exclude=/usr/share/lintian/*",
        "path-exclude=/usr/share/bug/*",
    ],
    "man": ["path-exclude=/usr/share/man/*"],
    # udev's database of makers' names and quirks of keyboards, mice, cameras, PCI and USB devices (hwdb(7)),
    # 22 MB with what is compiled of it. An instance has NVMe disks and ENA interfaces, which need none of it.
    # Packages name it by either path.
    "hwdb": ["path-exclude=/lib/udev/hwdb.d/*", "path-exclude=/usr/lib/udev/hwdb.d/*"],
    "locales": ["path-exclude=/usr/share/locale/*", "path-include=/usr/share/locale/locale.alias"],
}


def patterns(drop: DropSpec) -> List[str]:
    """Return the lines of dpkg's configuration for ``drop``."""
    return [line for key, lines in _PATTERNS.items() if getattr(drop, key) for line in lines]


def is_dropped(path: str, lines: Iterable[str]) -> bool:
    """Tell whether ``path`` is to be left out."""
    dropped = False
    for line in lines:
        verb, _, pattern = line.partition("=")
        if fnmatchcase(path, pattern):
            dropped = verb == "path-exclude"
    return dropped


def drop_files(root: Path, paths: List[str], lines: List[str]) -> List[str]:
    """Remove the files and links that ``lines`` drop from ``root``; return the ``paths`` that stay.

    Directories stay, for alternatives of manual pages need theirs; so do links to directories below
    /usr/share/doc, by which packages share a copyright file.
    """
    kept = []
    for path in paths:
        if lines and path.startswith(_TOPS) and is_dropped(path, lines):
            file = in_root(root, path)
            if not file.is_dir():
                file.unlink(missing_ok=True)
                continue
        kept.append(path)
    return kept
