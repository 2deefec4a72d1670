"""Whether every link of a built site leads somewhere: read from the HTML, as a browser would follow it."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class _Page(HTMLParser):
    """The targets and the ids of one page."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: set[str] = set()
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note where a tag leads, and its id."""
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.targets.add(value)
            elif name == "id" and value:
                self.ids.add(value)


def broken_links(site: Path) -> list[str]:
    """Return a line for every link of the site that leads to no file or to no place on its page."""
    pages = {}
    for file in sorted(site.rglob("*.html")):
        # Its links are absolute, as it is served for every address.
        if file.name != "404.html":
            pages[file] = _Page()
            pages[file].feed(file.read_text())
    problems = []
    for file, page in pages.items():
        for target in sorted(page.targets):
            url = urlsplit(target)
            if url.scheme or url.netloc:
                continue
            destination = (file.parent / unquote(url.path)).resolve() if url.path else file
            if destination.is_dir():
                destination /= "index.html"
            if not destination.is_file():
                problems.append(f"{file.relative_to(site)}: {target} leads to no page")
            elif (
                url.fragment and destination in pages and unquote(url.fragment) not in pages[destination].ids
            ):
                problems.append(f"{file.relative_to(site)}: {target} leads to no place on its page")
    return problems
