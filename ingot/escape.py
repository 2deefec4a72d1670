"""Makes text from an image or a pull request harmless where it is shown.

Names of files, packages and tests come from the change under review: they must not move a terminal's cursor,
turn the direction of a line, close a tag, or mention somebody.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

# Cc control, Cf format (direction, zero width), Cs lone surrogates, Zl and Zp line ends; a tab is harmless.
_SUSPECT = re.compile(r"[^\t -~]")
_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# What a program writes to a terminal between its texts. ECMA-48: control sequences (5.4), which color and
# move the cursor; operating system commands (8.3.89), such as a window's title; other escape sequences, among
# them those that choose a character set (ECMA-35, 13.2).
_COLOR = re.compile(r"\x1b\[[0-9;:]*m")
_SEQUENCE = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]+[0-~]|[0-OQ-WYZ\\`-~])"
)
_MARKDOWN = re.compile(r"[\\`*_{}\[\]<>|~#&@:.]")


def without_sequences(text: str) -> str:
    """Return what a program wrote for a terminal without the sequences that color it or move the cursor."""
    return _SEQUENCE.sub("", text)


def without_colors(text: str) -> str:
    """Return text without the sequences that color it; others stay, for :func:`plain` to show."""
    return _COLOR.sub("", text)


def plain(text: object) -> str:
    """Return text with every character that is not printable written as its escape, such as ``\\x1b``."""
    return _SUSPECT.sub(_escaped, str(text))


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    if unicodedata.category(character) not in _CATEGORIES:
        return character
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:  # a byte of a file's name that is no UTF-8
        return f"\\x{number - 0xDC00:02x}"
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def code(text: object) -> str:
    """Return text as a code span of Markdown, which renders neither markup nor mentions."""
    shown = plain(text).strip() or " "
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * (longest + 1)
    blank = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{blank}{shown}{blank}{fence}"


def markdown(text: object) -> str:
    """Return text as Markdown that shows just this text: no markup, no mention, no link."""
    # GitHub looks for mentions and numbers of issues in what is rendered, where an entity is a character
    # again: a space of no width parts the sign from the name.
    return _MARKDOWN.sub(
        lambda match: f"&#{ord(match[0])};" + ("&#8203;" if match[0] in "@#" else ""), plain(text)
    )


def shortened(text: object, most: int = 300) -> str:
    """Return text without its middle when it is longer than about ``most`` characters.

    The end stays, too: what is wrong with a path is said after it.
    """
    shown = plain(text)
    if len(shown) <= most:
        return shown
    begin, end = most * 2 // 3, most // 3
    return f"{shown[:begin]} …{len(shown) - begin - end:,} characters… {shown[-end:]}"


def fitting(lines: Sequence[str], count: int, room: float, more: str) -> list[str]:
    """Return as many of the first ``lines`` as fit into ``room`` characters.

    If they are fewer than ``count``, the line ``more`` follows, with the number left out in place of {}.
    """
    kept = list[str]()
    room -= len(more.format(f"{count:,}")) + 1
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        kept.append(line)
    return kept if len(kept) == count else [*kept, more.format(f"{count - len(kept):,}")]


def fenced(lines: Iterable[str], language: str = "") -> str:
    """Return lines as a fenced block of Markdown that no line of it can close."""
    shown = [plain(line) for line in lines]
    longest = max((len(run) for line in shown for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([f"{fence}{language}", *shown, fence])
