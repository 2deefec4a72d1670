"""``ingot down``: end what ``ingot up`` started."""

from __future__ import annotations

import typer

from ingot.cli.usage.options import AsJson
from ingot.pipeline.project.cloud import require_local_cloud

app = typer.Typer(add_completion=False)


@app.command()
def down(as_json: AsJson = False) -> None:
    """Stop the local cloud and all its machines. The images stay in the store.

    Examples: `ingot down`.
    """
    require_local_cloud()
    from localcloud import cli

    cli.down(as_json)
