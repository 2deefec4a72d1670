"""Plans as JSON, which :mod:`ingot.report.reading` reads, and reports as files."""

from __future__ import annotations

import json
from pathlib import Path

from ingot.errors import InputError
from ingot.plan.result import Plan


def plan_json(plan: Plan) -> str:
    """Return a plan as JSON. It is ASCII: the name of a file in an image may be no UTF-8."""
    return json.dumps(plan.to_json(), indent=1, sort_keys=True)


def write_report(path: Path, text: str) -> None:
    """Write a report; raise InputError for a file that cannot be written."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error
