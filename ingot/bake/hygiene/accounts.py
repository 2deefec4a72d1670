"""Password hashes, and accounts without a password: shadow(5), gshadow(5), passwd(5), group(5)."""

from __future__ import annotations

from typing import Iterator

from ingot.bake.hygiene.finding import Finding
from ingot.bake.hygiene.view import View

# file -> what an empty second field means: a login without password, or nothing
_FILES = {
    "/etc/passwd": True,
    "/etc/shadow": True,
    "/etc/group": False,
    "/etc/gshadow": False,
}


def check(view: View) -> Iterator[Finding]:
    """Yield the accounts that have a password, or that need none.

    A lock before a hash (``!``) does not make the hash go.
    """
    for file, empty_is_open in _FILES.items():
        for path in (file, f"{file}-"):
            for line in view.lines(path):
                name, _, rest = line.partition(":")
                password = rest.partition(":")[0]
                if not password and empty_is_open and name not in ("+", "-"):
                    yield Finding("password-hash", path, f"{name} needs no password to log in")
                elif password.lstrip("!*") not in ("", "x"):
                    yield Finding("password-hash", path, f"{name} has a password")
