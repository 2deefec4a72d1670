"""The hygiene gate: examines a finished disk, without mounting it, for what must not be in an image.

A check is a function that takes a :class:`~ingot.bake.hygiene.view.View` of the disk and yields findings.
docs/hygiene.md lists them.
"""

from ingot.bake.hygiene.finding import NAMES, Finding
from ingot.bake.hygiene.gate import HygieneReport, enforce, examine
from ingot.bake.hygiene.lower import Known
from ingot.bake.hygiene.view import Declared

__all__ = ["NAMES", "Declared", "Finding", "HygieneReport", "Known", "enforce", "examine"]
