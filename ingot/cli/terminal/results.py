"""Results on stdout: tables, drawn by rich, which is imported when there is one to draw, and JSON."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.table import Table


def print_json(value: Any) -> None:
    """Print a result as one JSON document, keys sorted: one line, or indented on a terminal."""
    print(json_text(value), flush=True)


def json_text(value: Any) -> str:
    """Return what :func:`print_json` prints."""
    return json.dumps(value, sort_keys=True, indent=2 if sys.stdout.isatty() else None)


def print_table(table: Table) -> None:
    """Print a table as wide as the terminal at most (without one, 80 columns or COLUMNS); what does not fit
    in a cell ends with "…".

    Texts are taken as they are: "[red]" and ":smile:" are no markup. No line ends with blanks.
    """
    from rich.console import Console

    console = Console(file=sys.stdout, markup=False, emoji=False, highlight=False)
    with console.capture() as capture:
        console.print(table)
    print("\n".join(line.rstrip() for line in capture.get().splitlines()))


def print_rows(rows: Iterable[tuple[str, str]]) -> None:
    """Print figures, aligned to the right, and what each of them is; a long text goes on below itself."""
    from rich.table import Table

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(justify="right", no_wrap=True, min_width=9)
    table.add_column()
    for row in rows:
        table.add_row(*row)
    print_table(table)
