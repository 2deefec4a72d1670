"""``ingot store``: look after the store of packages, layers and images."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ingot.store import Store
from ingot.store.gc import collect, usage

app = typer.Typer(
    add_completion=False,
    help="Look after the store of packages, layers and images.",
    invoke_without_command=True,
)


@app.callback()
def _default(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        ls()


@app.command()
def ls() -> None:
    """List the images, the one used last first, and how large the store is."""
    store = Store()
    for image in store.all_images():
        manifest = image.manifest
        print(f"{image.digest}  {manifest['name']}  {manifest['size']['used'] / 2**20:.0f} MiB")
    parts = [f"{part.count} {part.part} {part.size / 2**20:.0f} MiB" for part in usage(store)]
    print(f"{store.root}: {', '.join(parts)}", file=sys.stderr)


@app.command()
def gc(
    images: Annotated[int, typer.Option(min=0, help="How many images stay.")] = 10,
    layers: Annotated[int, typer.Option(min=0, help="How many layers stay.")] = 3,
) -> None:
    """Remove the images and layers that were not used for longest, and packages that no image needs."""
    removed = collect(
        Store(), images=images, layers=layers, progress=lambda text: print(text, file=sys.stderr, flush=True)
    )
    counts = f"{len(removed.images)} images, {removed.layers} layers, {removed.packages} packages"
    print(f"removed {counts}: {removed.size / 2**20:.0f} MiB are free")


@app.command()
def pack(archive: Annotated[Path, typer.Argument(help="The file to write; .tar.zst compresses it.")]) -> None:
    """Write packages, layers and images to one file: a cache that another machine unpacks. Prints its size."""
    from ingot.store.pack import pack as write

    size = write(Store(), archive, lambda text: print(text, file=sys.stderr, flush=True))
    print(f"{archive}: {size / 2**20:.0f} MiB")


@app.command()
def unpack(archive: Annotated[Path, typer.Argument(help="What `ingot store pack` wrote.")]) -> None:
    """Put a packed store into this machine's; what is here already stays."""
    from ingot.store.pack import unpack as read

    read(Store(), archive, lambda text: print(text, file=sys.stderr, flush=True))
