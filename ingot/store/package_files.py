"""Which package brought a file: dpkg's own lists on the disk of an image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ingot.bake.tree.links import TooManyLinksError, resolve_links

LISTS = "/var/lib/dpkg/info/"
_END = ".list"


def link_target(files: Mapping[str, Mapping[str, Any]], path: str) -> str | None:
    """Return the target of the symbolic link ``path``, None where there is none."""
    file = files.get(path)
    return str(file["link"]) if file is not None and file["type"] == "symlink" else None


def followed(files: Mapping[str, Mapping[str, Any]], path: str) -> str:
    """Return where ``path`` of a manifest's files leads; ``path`` itself for a loop of links.

    Symbolic links are followed, in its directories as well: with a merged /usr, /lib is one.
    """
    try:
        return resolve_links(path, lambda link: link_target(files, link))
    except TooManyLinksError:
        return path


def package_files(
    files: Mapping[str, Mapping[str, Any]], paths: Iterable[str], read: Callable[[str], bytes]
) -> Iterator[tuple[str, list[str]]]:
    """Yield each package, named as its list is, with the paths that it brought.

    ``files``: the manifest's, by path; ``paths``: those of them at which lists are looked for; ``read``
    returns a file's content. A package that can be installed for several architectures has its own behind its
    name, "libc6:amd64": dpkg-query(1). Its paths are those of the image: of a merged /usr, whose /bin is a
    link, a package's /bin/sh is /usr/bin/sh.
    """
    moved = {
        f"{path}/": f"{followed(files, path)}/"
        for path, file in files.items()
        if file["type"] == "symlink" and path.count("/") == 1
    }
    for listed in paths:
        if listed.startswith(LISTS) and listed.endswith(_END):
            lines = read(listed).decode("utf-8", "surrogateescape").splitlines()
            yield (
                listed[len(LISTS) : -len(_END)],
                [
                    moved[top] + line[len(top) :] if (top := line[: line.find("/", 1) + 1]) in moved else line
                    for line in lines
                ],
            )
