"""What programs leave behind: histories, logs, caches, files for a while."""

from __future__ import annotations

import re
from typing import Dict, Iterator, Tuple

from ingot.bake.hygiene.finding import Finding
from ingot.bake.hygiene.view import View

# ruff: noqa: S108 - /tmp is named here, not used
_HISTORY = re.compile(
    r"\.(\w+[_-]history|\w+_hist|z?history|histfile|lesshst|viminfo|wget-hsts|dbshell)"
    r"|fish_history|recently-used\.xbel|\.netrwhist"
)
CACHES = (
    "/var/cache/apt",
    "/var/lib/apt/lists",
    "/var/cache/man",
    "/var/cache/ldconfig",
    "/var/cache/dnf",
    "/var/cache/yum",
    "/var/cache/pip",
)
# Below a home directory.
HOME_CACHES = (
    ".cache",
    ".npm",
    ".yarn/cache",
    ".pnpm-store",
    ".pip",
    ".cargo/registry",
    ".gradle/caches",
    ".m2/repository",
    ".gem/specs",
    ".composer/cache",
    "go/pkg/mod/cache",
)
_TEMPORARY = ("/tmp/", "/var/tmp/", "/run/", "/var/crash/")
_LOGS = ("/var/log/", "/var/lib/systemd/coredump/")


def check(view: View) -> Iterator[Finding]:
    """Yield histories, logs that are not empty, caches (one finding each, however many
    files they hold), and temporary files.
    """
    caches: Dict[str, Tuple[int, int]] = {}
    tops = (*CACHES, *(f"{home}/{cache}" for home in sorted(view.homes) for cache in HOME_CACHES))
    below = tuple(f"{top}/" for top in tops)
    for entry in view.unproven_links("traces", is_watched):
        yield _history(entry.path)
    for entry in view.unproven_files("traces"):
        path = entry.path
        if is_watched(path):
            yield _history(path)
        elif path.startswith(_LOGS):
            yield Finding("log", path, f"{entry.size} bytes that the bake wrote, or a step")
        elif path.startswith(_TEMPORARY):
            yield Finding("builder-trace", path, "a temporary file of the bake, or of a step")
        elif path.startswith(below):
            top = next(top for top in tops if path.startswith(f"{top}/"))
            files, size = caches.get(top, (0, 0))
            caches[top] = files + 1, size + entry.size
    for top, (files, size) in caches.items():
        yield Finding("cache", top, f"{files} files with {size} bytes that can be made or fetched again")


def is_watched(path: str) -> bool:
    """Tell whether a file of this name is a history."""
    return _HISTORY.fullmatch(path.rpartition("/")[2]) is not None


def _history(path: str) -> Finding:
    return Finding("history", path, "it says what somebody did while the image was made")
