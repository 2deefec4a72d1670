"""What `ingot archive` and `ingot restore` take to name an archive."""

from __future__ import annotations

from typing import Annotated

import typer

from ingot.aws.archive.location import ArchiveKind

Url = Annotated[str, typer.Argument(metavar="URL", help="The archive: s3://BUCKET or s3://BUCKET/PREFIX.")]
Owner = Annotated[
    str | None,
    typer.Option("--bucket-owner", metavar="ACCOUNT", help="Who owns the bucket.", show_default="the caller"),
]
Format = Annotated[
    ArchiveKind,
    typer.Option(
        "--format",
        help="blocks: by SHA-256, as Ingot writes them. store-image: the AMI as one object that EC2 writes.",
    ),
]
