"""How work that takes a while says what it does: one line of text at a time, to whoever called it.

Standard library only, Python 3.9: this module travels to builder instances with ``ingot.bake``.
"""

from __future__ import annotations

import time
from typing import Callable

# Called with one line, without its end. It neither raises nor takes long: work and clean-up go on whatever
# becomes of it.
Progress = Callable[[str], None]


def silent(_: str) -> None:
    """Drop a line of progress."""


def timed(progress: Progress) -> Progress:
    """Return a Progress that puts the seconds since this call before each line."""
    start = time.monotonic()
    return lambda line: progress(f"{time.monotonic() - start:7.1f} s  {line}")
