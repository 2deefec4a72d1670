"""``ingot restore``: an archived image as an AMI, in any account and region."""

from __future__ import annotations

from typing import Annotated

import typer

from ingot.aws.archive.location import ArchiveKind
from ingot.cli.terminal.results import json_text, print_json
from ingot.cli.usage.archives import Format, Owner, Url
from ingot.cli.usage.options import AsJson
from ingot.errors import InputError

app = typer.Typer(add_completion=False)


@app.command()
def restore(
    url: Url,
    name: Annotated[str, typer.Argument(help="A recipe, for its image that was archived last, or a digest.")],
    bucket_owner: Owner = None,
    store_only: Annotated[
        bool, typer.Option("--store-only", help="Restore into this machine's store, and publish nothing.")
    ] = False,
    no_test: Annotated[
        bool, typer.Option("--no-test", help="No test clone. The registry then does not name the AMI.")
    ] = False,
    builder_stack: Annotated[
        str | None,
        typer.Option(
            help="The stack with the builder: it says how test clones start.",
            show_default="ingot:builder_stack in cdk.json",
        ),
    ] = None,
    kind: Format = ArchiveKind.BLOCKS,
    as_json: AsJson = False,
) -> None:
    """Restore an archived image: into the store, and as an AMI of the account and region in use.

    Each block is held against its SHA-256. The snapshot is read back, and its root digest compared with the
    manifest's, before the AMI is registered; the AMI's tags say where it came from. With `--format
    store-image` EC2 restores the AMI that it stored, and the registry names it when it was read back.

    Examples: `ingot restore s3://my-images/golden web`.
    """
    from ingot.aws.session.clients import connect
    from ingot.cli.terminal.reporting import Reporter
    from ingot.pipeline.archive import ArchiveOptions, RestoreOptions, restore_image
    from ingot.pipeline.archive import restore as run

    if kind is ArchiveKind.STORE_IMAGE and store_only:
        raise InputError(
            "--store-only and --format store-image exclude each other",
            hint="EC2 restores into EBS; `ingot restore` of an archive of blocks restores into the store",
        )
    options = RestoreOptions(name, publish=not store_only, test=not no_test, builder_stack=builder_stack)
    if kind is ArchiveKind.STORE_IMAGE:
        with Reporter() as reporter:
            ami = restore_image(connect(), ArchiveOptions(url, bucket_owner), options, reporter)
        print(json_text(ami.as_dict()) if as_json else ami.ami_id)
        return
    with Reporter() as reporter:
        restored = run(connect(), ArchiveOptions(url, bucket_owner), options, reporter)
    published = restored.published
    if as_json:
        result = {"digest": restored.image.digest, "root_digest": restored.image.root_digest}
        print_json(result | (published.as_dict() if published else {}))
    else:
        print(published.ami_id if published else restored.image.digest)
