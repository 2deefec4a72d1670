"""``ingot archive``: keep images in a bucket of one's own."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ingot.aws.archive.location import ArchiveKind
from ingot.cli.terminal.results import json_text, print_json
from ingot.cli.usage.archives import Format, Owner, Url
from ingot.cli.usage.mistakes import CommandGroup, nearest
from ingot.cli.usage.options import AsJson, Environment, Recipes, image_names, without_slash
from ingot.paths import RECIPES
from ingot.quantities import number, size


class ArchiveGroup(CommandGroup):
    """`ingot archive NAME URL` is short for `ingot archive put NAME URL`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that is named, `put` where the first word is none."""
        names = self.list_commands(ctx)
        # A word alone may be a command that is misspelt.
        if args[0] not in names and (len(args) > 1 or nearest(args[0], names) is None):
            args = ["put", *args]
        return super().resolve_command(ctx, args)


app = typer.Typer(cls=ArchiveGroup, add_completion=False, help="Keep images in a bucket of your own.")


@app.command()
def put(
    name: Annotated[
        str,
        typer.Argument(
            callback=without_slash,
            autocompletion=image_names,
            help="The recipe, or the recipe digest of an image.",
        ),
    ],
    url: Url,
    bucket_owner: Owner = None,
    env: Environment = None,
    recipes: Recipes = RECIPES,
    kind: Format = ArchiveKind.BLOCKS,
    as_json: AsJson = False,
) -> None:
    """Write an image to an archive: its blocks by SHA-256, its bill of materials, its manifest.

    Only blocks that the archive lacks are sent, so the next version of an image takes a few. Interrupted, the
    same command goes on. `put` may be left out. With `--format store-image` EC2 stores the published AMI.

    Examples: `ingot archive web s3://my-images/golden`.
    """
    from ingot.aws.session.clients import connect
    from ingot.cli.terminal.reporting import Reporter
    from ingot.pipeline.archive import ArchiveOptions, archive_image, store_image
    from ingot.pipeline.store import ImageChoice

    archive, choice = ArchiveOptions(url, bucket_owner), ImageChoice(name, recipes, env)
    if kind is ArchiveKind.STORE_IMAGE:
        with Reporter() as reporter:
            record = store_image(connect(), archive, choice, reporter)
        stored = {"digest": record.manifest["recipe_digest"], "object": record.lineage.key}
        print(json_text(stored) if as_json else record.lineage.key)
        return
    with Reporter() as reporter:
        archived = archive_image(connect(), archive, choice, reporter)
    print(json_text(archived.as_dict()) if as_json else archived.digest)


@app.command()
def ls(url: Url, bucket_owner: Owner = None, as_json: AsJson = False) -> None:
    """List the images of an archive.

    Examples: `ingot archive ls s3://my-images/golden`.
    """
    from ingot.aws.session.clients import connect
    from ingot.pipeline.archive import ArchiveOptions, list_archive

    images = list_archive(connect(), ArchiveOptions(url, bucket_owner))
    if as_json:
        rows = [
            {
                "recipe": image.recipe,
                "digest": image.digest,
                "written": image.written.isoformat(),
                "format": kind,
            }
            for image, kind in images
        ]
        print_json(rows)
        return
    for image, kind in images:
        end = f"  {kind}" if kind is not ArchiveKind.BLOCKS else ""
        print(f"{image.digest}  {image.recipe}  {image.written:%Y-%m-%d %H:%M}{end}")


@app.command()
def gc(url: Url, bucket_owner: Owner = None, as_json: AsJson = False) -> None:
    """Remove the blocks that no image of an archive has, and the AMIs that EC2 stored without a record.

    To remove an image, delete its manifest below `images/` or its record below `stored/`, and then run this.
    What is younger than a day stays: an archiving that is under way may be about to name it.

    Examples: `ingot archive gc s3://my-images/golden`.
    """
    from ingot.aws.session.clients import connect
    from ingot.pipeline.archive import ArchiveOptions, collect_archive

    removed = collect_archive(connect(), ArchiveOptions(url, bucket_owner))
    found = removed.as_dict()
    if as_json:
        print_json(found)
        return
    stored = f", {number(found['stored_images'], 'stored AMI')}" if found["stored_images"] else ""
    print(f"{number(found['blocks'], 'block')}{stored} removed, {size(found['bytes'])}")
