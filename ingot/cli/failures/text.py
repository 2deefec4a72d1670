"""Errors as text: `error: …` with the line of the source that it is about, then `hint: …`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from ingot.cli.terminal.printable import printable
from ingot.errors import IngotError, InputError, Problem
from ingot.files import read_limited

_LARGEST = 1 << 20  # bytes of a file of which a line is shown: what a person writes is smaller
_WIDEST = 100  # columns of a line that are shown


def error_text(error: IngotError) -> str:
    """Return an error for a terminal or a log."""
    problems = error.problems if isinstance(error, InputError) else []
    if problems:
        return "\n".join(problem_text(problem, "error") for problem in problems)
    message = error.message.removeprefix("error: ")
    return printable(f"error: {message}" + ("" if error.hint is None else f"\n  hint: {error.hint}"))


def error_json(error: IngotError) -> str:
    """Return an error as one line of JSON."""
    problems = error.problems if isinstance(error, InputError) else []
    plain = {
        "message": error.message.removeprefix("error: "),
        "hint": error.hint,
        "exit_code": error.exit_code,
        "problems": [asdict(problem) for problem in problems],
    }
    return json.dumps({"error": plain}, sort_keys=True)


def problem_text(problem: Problem, kind: str) -> str:
    """Return a problem, an ``error`` or a ``warning``, with its line, and a caret that says what belongs
    there.
    """
    line = _source_line(problem)
    if line is None:
        return printable(f"{kind}: {problem}")
    number, belongs = str(problem.line), f" expected {problem.expected}" if problem.expected else ""
    gutter = " " * len(number)
    text = [
        f"{kind}: {problem.place}: {problem.said}",
        f"  {number} | {line}",
        f"  {gutter} | {' ' * (problem.column - 1)}^{belongs}",
        *([] if problem.hint is None else [f"  hint: {problem.hint}"]),
    ]
    return printable("\n".join(text))


def _source_line(problem: Problem) -> str | None:
    """Return the line of a problem; None where there is none that fits beside a caret."""
    try:
        content = read_limited(Path(problem.file), _LARGEST).decode("utf-8")
    except (OSError, ValueError):
        return None
    lines = content.split("\n")
    if not 1 <= problem.line <= len(lines):
        return None
    line = lines[problem.line - 1].rstrip("\r").expandtabs(1)
    if not line.strip() or problem.column > min(len(line) + 1, _WIDEST) or not line.isprintable():
        return None
    return line if len(line) <= _WIDEST else f"{line[: _WIDEST - 1]}…"
