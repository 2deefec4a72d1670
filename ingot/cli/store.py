"""``ingot store``: look after the store of packages, layers and images."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ingot.cli.terminal.printable import printable
from ingot.cli.terminal.reporting import Reporter
from ingot.cli.terminal.results import print_json
from ingot.cli.usage.mistakes import CommandGroup
from ingot.cli.usage.options import AsJson
from ingot.errors import InputError
from ingot.quantities import ago, meant_size, number, parse_size, size
from ingot.store import Store
from ingot.store.content import KnownImage, StoreContent, UnreadableImage, content_of
from ingot.store.gc import Bounds

app = typer.Typer(
    cls=CommandGroup,
    add_completion=False,
    help="Look after the store of packages, layers and images.",
    invoke_without_command=True,
)


@app.callback()
def _default(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        ls()


@app.command()
def ls(as_json: AsJson = False) -> None:
    """List the images, the one used last first, and how large the store is.

    Examples: `ingot store ls`.
    """
    content = content_of(Store())
    if as_json:
        print_json(_as_dict(content))
        return
    for image in content.images:
        if isinstance(image, UnreadableImage):
            print(f"{image.digest}: {printable(image.problem)}", file=sys.stderr)
        else:
            used = ago(time.time() - image.used)
            print(f"{image.digest}  {printable(image.name)}  {size(image.size)}  used {used}")
    counts = ", ".join(f"{number(part.count, part.part[:-1])} {size(part.size)}" for part in content.parts)
    print(f"{content.root}: {counts}", file=sys.stderr)


def _as_dict(content: StoreContent) -> dict[str, Any]:
    return {
        "root": str(content.root),
        "images": [
            {"digest": image.digest, "name": image.name, "used": image.used}
            for image in content.images
            if isinstance(image, KnownImage)
        ],
        "set_aside": [asdict(image) for image in content.images if isinstance(image, UnreadableImage)],
        "usage": {part.part: {"count": part.count, "size": part.size} for part in content.parts},
    }


@app.command()
def gc(
    images: Annotated[int, typer.Option(min=0, help="How many images stay.")] = 10,
    layers: Annotated[int, typer.Option(min=0, help="How many layers stay.")] = 8,
    days: Annotated[
        float | None,
        typer.Option(min=0, help="Remove images and layers that were not used for so many days."),
    ] = None,
    max_size: Annotated[
        str | None, typer.Option(metavar="SIZE", help="How large the store may be, such as 20GiB.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Remove the images and layers that were not used for longest, and packages that no image needs.

    What a bake, a publish or `ingot boot` works on stays, and so do the images of the local cloud that runs.

    Examples: `ingot store gc`, `ingot store gc --max-size 20GiB`.
    """
    from ingot.pipeline.store import collect_store

    most = None if max_size is None else _bytes(max_size)
    with Reporter() as reporter:
        found = collect_store(Bounds(images, layers, days, most), reporter)
    removed = found.removed
    if as_json:
        print_json({**asdict(removed), "left": found.left})
        return
    counts = [(len(removed.images), "image"), (removed.layers, "layer"), (removed.packages, "package")]
    removals = ", ".join(number(count, noun) for count, noun in counts)
    print(f"removed {removals}: {size(removed.size)} are free")
    if most is not None and found.left > most:
        print(
            f"{size(found.left)} remain, more than {max_size}: "
            "packages of images that stay, or what is in use",
            file=sys.stderr,
        )


@app.command()
def pack(
    archive: Annotated[Path, typer.Argument(help="The file to write; .tar.zst compresses it.")],
    as_json: AsJson = False,
) -> None:
    """Write packages, layers and images to one file: a cache that another machine unpacks.

    Prints its size.

    Examples: `ingot store pack store.tar.zst`.
    """
    from ingot.pipeline.store import pack_store

    with Reporter() as reporter:
        written = pack_store(archive, reporter)
    if as_json:
        print_json({"archive": str(archive), "size": written})
    else:
        print(f"{archive}: {size(written)}")


@app.command()
def unpack(
    archive: Annotated[Path, typer.Argument(help="What `ingot store pack` wrote.")], as_json: AsJson = False
) -> None:
    """Put a packed store into this machine's; what is here already stays. Prints what is new.

    Examples: `ingot store unpack store.tar.zst`.
    """
    from ingot.pipeline.store import unpack_store

    with Reporter() as reporter:
        new = unpack_store(archive, reporter)
    if as_json:
        print_json(asdict(new))
    else:
        print(f"{archive}: {number(len(new.images), 'new image')}, {number(len(new.layers), 'new layer')}")


def _bytes(text: str) -> int:
    """Return a size such as 20GiB in bytes; raises InputError."""
    most = parse_size(text)
    if most is None:
        meant = meant_size(text)
        hint = "give one such as 20GiB or 500MiB" if meant is None else f"did you mean {meant}?"
        raise InputError(f"--max-size {text!r} is not a size", hint=hint)
    return most
