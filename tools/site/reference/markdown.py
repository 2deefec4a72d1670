"""Tables and text of generated pages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; cells are Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", " ".join(text.split()))


def code(value: object) -> str:
    """Return a value as code; nothing for an empty one."""
    text = "true" if value is True else "false" if value is False else str(value)
    return f"`{text}`" if text else ""


def prose(docstring: str) -> str:
    """Return a docstring as Markdown: double backticks and roles of reStructuredText become code."""
    text = re.sub(r":(?:class|func|meth|attr):`~?([^`]+)`", r"`\1`", docstring)
    return escaped(re.sub(r"``(.+?)``", r"`\1`", text))


def escaped(text: str) -> str:
    """Return text in which nothing outside of code is taken for emphasis or a tag."""
    pieces = re.split(r"(`[^`]*`)", text)
    pieces[::2] = [re.sub(r"([*_<])", r"\\\1", piece) for piece in pieces[::2]]
    return "".join(pieces)
