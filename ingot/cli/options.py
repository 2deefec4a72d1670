"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

Environment = Annotated[
    str | None,
    typer.Option("--env", metavar="NAME", help="The environment of the recipe whose variables count."),
]
