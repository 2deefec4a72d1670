"""The tree of Markdown that the site is built from.

Pages link to each other, and to other files of the repository, as they do on GitHub. On the site, every file
has another place; ``collect`` finds what is linked and rewrites the links.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parent.parent.parent
DOCS = PurePosixPath("docs")
INDEX = DOCS / "README.md"
FENCE = re.compile(r"^(```.*?^```$)", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(\]\()([^)#\s]+)((?:#[^)\s]*)?\))")
MARKER = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)


class BrokenLinkError(Exception):
    """A page links to a file that is not there."""


@dataclass
class Tree:
    """What the site is built from: the text of pages by their place on the site, and files to copy."""

    pages: dict[PurePosixPath, str] = field(default_factory=dict)
    files: dict[PurePosixPath, Path] = field(default_factory=dict)


def place_of(path: PurePosixPath) -> PurePosixPath:
    """Return where a file of the repository is on the site: docs/ is its root, a README an index."""
    if len(path.parts) == 1:
        path = PurePosixPath("project", path)
    elif DOCS in path.parents:
        path = path.relative_to(DOCS)
    elif path.parts[:2] == ("localcloud", "docs"):
        path = PurePosixPath("localcloud", *path.parts[2:])
    # Names that begin with a dot are not published.
    path = PurePosixPath(*(part.lstrip(".") for part in path.parts))
    if path.suffix != ".md":
        return path
    return path.with_name("index.md" if path.name == "README.md" else path.name.lower())


def collect(fill: Callable[[str], str], root: Path = ROOT) -> Tree:
    """Return every page of docs/, and what they link to.

    :param fill: returns the Markdown that takes the place of a marker ``<!-- generated: NAME -->``
    :raises BrokenLinkError: a link leads to nothing
    """
    tree = Tree()
    waiting = [PurePosixPath(page.relative_to(root)) for page in sorted((root / DOCS).rglob("*.md"))]
    seen = set(waiting)
    while waiting:
        page = waiting.pop(0)
        text = MARKER.sub(lambda found: fill(found[1]), (root / page).read_text())
        text, linked = _rewritten(text, page, root)
        if place_of(page) in tree.pages:
            raise ValueError(f"two pages have the place {place_of(page)}")
        tree.pages[place_of(page)] = text
        for path in linked:
            if path.suffix != ".md":
                tree.files[place_of(path)] = root / path
            elif path not in seen:
                seen.add(path)
                waiting.append(path)
    return tree


def _rewritten(text: str, page: PurePosixPath, root: Path) -> tuple[str, list[PurePosixPath]]:
    """Return a page whose links lead to places on the site, and the files that it links to."""
    linked: list[PurePosixPath] = []

    def moved(link: re.Match[str]) -> str:
        before, target, after = link.groups()
        if re.match(r"https?:|mailto:", target):
            return link[0]
        destination = (root / page.parent / target).resolve()
        if not destination.is_file():
            raise BrokenLinkError(f"{page} links to {target}, which is not a file")
        path = PurePosixPath(destination.relative_to(root.resolve()))
        linked.append(path)
        return before + _relative(place_of(page), place_of(path)) + after

    # Every other piece is a block of code: nothing in it is a link.
    pieces = FENCE.split(text)
    pieces[::2] = [LINK.sub(moved, piece) for piece in pieces[::2]]
    return "".join(pieces), linked


def _relative(page: PurePosixPath, target: PurePosixPath) -> str:
    """Return the way from a page to a target: PurePath.relative_to walks up from Python 3.12 on."""
    common = 0
    for one, other in zip(page.parts[:-1], target.parts[:-1], strict=False):
        if one != other:
            break
        common += 1
    return "/".join([".."] * (len(page.parts) - 1 - common) + list(target.parts[common:]))


def sections(index: str) -> dict[str, list[tuple[str, PurePosixPath]]]:
    """Return the sections of docs/README.md: (title, place on the site) of every page in their tables.

    They are the site's navigation. A link out of docs/ stays out of it unless it begins its row.
    """
    found: dict[str, list[tuple[str, PurePosixPath]]] = {}
    for part in re.split(r"^## ", index, flags=re.MULTILINE)[1:]:
        heading, _, body = part.partition("\n")
        rows = re.findall(r"^\| \[([^\]]+)\]\(([^)#\s]+)\) \|", body, re.MULTILINE)
        paths = [(title, (ROOT / DOCS / target).resolve().relative_to(ROOT)) for title, target in rows]
        found[heading] = [(title, place_of(PurePosixPath(path))) for title, path in paths]
    return found
