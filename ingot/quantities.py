"""Sizes, counts and times in words, and sizes as recipes and options write them.

Standard library only, Python 3.9: this module travels to builder instances with ``ingot.bake``.
"""

from __future__ import annotations

import re
from typing import Optional

MIB, GIB, TIB = 1 << 20, 1 << 30, 1 << 40
_UNITS = {"MiB": MIB, "GiB": GIB, "TiB": TIB}
# As JSON Schema takes it: one blank before the unit is accepted, and not proposed.
SIZE_PATTERN = "^[1-9][0-9]*(MiB|GiB|TiB)$"


def parse_size(text: str) -> Optional[int]:
    """Return the bytes of a size such as `2GiB`; None for a text that is none."""
    found = re.fullmatch(r"([1-9][0-9]*)\s?(MiB|GiB|TiB)", text)
    return None if found is None else int(found[1]) * _UNITS[found[2]]


def meant_size(text: str) -> Optional[str]:
    """Return what a text that is no size may mean: `2GiB` for `2G` and `2 GB`."""
    found = re.fullmatch(r"([1-9][0-9]*)\s?([MGT])(?:i?b)?", text.strip(), re.IGNORECASE)
    return None if found is None else f"{found[1]}{found[2].upper()}iB"


def written_size(number: int) -> str:
    """Return bytes as :func:`parse_size` reads them, rounded up to whole MiB: `2GiB`, `179MiB`."""
    return f"{number // GIB}GiB" if number % GIB == 0 else f"{-(-number // MIB)}MiB"


def size(number: float, *, sign: bool = False) -> str:
    """Return bytes for people, in IEC units: `3.5 MiB`, `64 MiB`."""
    mark = "" if not sign else "+" if number > 0 else "−" if number < 0 else ""
    value = abs(number)
    if sign and not value:
        return "±0"
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            break
        value /= 1024
    digits = 0 if unit == "bytes" or value == int(value) or (value >= 100 and unit != "GiB") else 1
    return f"{mark}{value:.{digits}f} {'byte' if abs(number) == 1 else unit}"


def number(count: int, noun: str) -> str:
    """Return a count with its noun: `1 entry`, `2 entries`."""
    plural = noun[:-1] + "ies" if noun.endswith("y") and noun[-2] not in "aeiou" else noun + "s"
    return f"{count:,} {noun if count == 1 else plural}"


def duration(seconds: float) -> str:
    """Return seconds for people: `45 s`, `12 min`, `1 h 20 min`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    hours, left = divmod(minutes, 60)
    return f"{hours} h {left} min" if left else f"{hours} h"


def ago(seconds: float) -> str:
    """Return how long ago something was, for people: `45 s ago`, `12 min ago`, `5 h ago`, `3 days ago`."""
    minutes, hours, days = (int(seconds // unit) for unit in (60, 3600, 86400))
    if minutes < 2:
        return f"{int(seconds)} s ago"
    if hours < 2:
        return f"{minutes} min ago"
    return f"{number(days, 'day')} ago" if days else f"{hours} h ago"


def elapsed(seconds: float) -> str:
    """Return how long something took, for people: `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 10:
        return f"{seconds:.1f} s"
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"
