"""``ingot down``: end what ``ingot up`` started."""

from __future__ import annotations

import typer

from ingot.cli.cloud import stop

app = typer.Typer(add_completion=False)


@app.command()
def down() -> None:
    """Stop the local cloud and all its machines. The images stay in the store.

    Examples: `ingot down`.
    """
    stop()
