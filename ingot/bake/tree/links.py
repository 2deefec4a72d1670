"""Resolving symbolic links inside an image: the one implementation, for trees, finished
disks and manifests alike.
"""

from __future__ import annotations

from typing import Callable, List, Optional

from ingot.errors import BakeError

# As many as Linux follows: path_resolution(7).
MOST_LINKS = 40


class TooManyLinksError(BakeError):
    """Links that lead to each other in a circle, or in a longer chain than the kernel follows."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path}: too many levels of symbolic links in the image")


def resolve_links(path: str, target_of: Callable[[str], Optional[str]], *, follow_last: bool = True) -> str:
    """Return the absolute path to which the absolute ``path`` leads inside an image.

    The links of every directory on the way are followed; one at the last component only with ``follow_last``.
    An absolute target begins at the image's root, and ``..`` never leads beyond it, so the result is inside
    the image whatever its links say. It has no ``.``, no ``..`` and no slash at the end.

    ``target_of`` returns the target of the link at a path, and None for everything else. Components that do
    not exist are kept as they are, so the result may name something that is to be made; a ``target_of`` that
    raises for them makes the search strict. It is asked about paths whose own directories are resolved
    already. On a tree that programs can change meanwhile, the answer holds only as long as nobody replaces a
    directory by a link. Raises TooManyLinksError.
    """
    resolved = ""
    pending = _components(path)
    links = 0
    while pending:
        name = pending.pop()
        if name == "..":
            resolved = resolved.rpartition("/")[0]
            continue
        here = f"{resolved}/{name}"
        target = target_of(here) if pending or follow_last else None
        if target is None:
            resolved = here
            continue
        links += 1
        if links > MOST_LINKS:
            raise TooManyLinksError(path)
        pending += _components(target)
        if target.startswith("/"):
            resolved = ""
    return resolved or "/"


def _components(path: str) -> List[str]:
    """Return the names in ``path``, the last one first."""
    return [name for name in path.split("/") if name not in ("", ".")][::-1]
