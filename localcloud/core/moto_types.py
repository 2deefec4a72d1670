"""Names for moto's objects, which have no types."""

from __future__ import annotations

from typing import Any

Moto = Any  # a backend, a record or a handler of moto's
Value = Any  # a value from a template or of moto's records: text, number, list or mapping
