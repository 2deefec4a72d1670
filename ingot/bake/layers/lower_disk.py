"""The disk with the lower layer alone, kept with the layer: a bake copies it and writes
only what its recipe changes.

It is found by the digest of all that it is made of, made aside and renamed, under a lock.
"""

from __future__ import annotations

import fcntl
import os
import pickle
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from ingot.bake.disk import DiskSpec, Layout, More, read_ext4, write_disk
from ingot.bake.hygiene.lower import suspects
from ingot.bake.layers.keys import ENGINE, code_digest, key_of
from ingot.bake.layers.layer import LowerLayer
from ingot.bake.runtime.chroot import HOSTNAME
from ingot.bake.runtime.sandbox import SpawnError, spawner
from ingot.bake.tree.tree import Entry
from ingot.errors import BakeError
from ingot.files import making, remove_aside
from ingot.locks import obtain, try_locked
from ingot.progress import Progress

# Each is as large as the content of the layer: one for each recipe and size that uses the layer, the oldest
# go.
MOST = 4
_FICLONE = 0x40049409  # ioctl_ficlone(2): file systems that share blocks copy in no time
_PIECE = 64 << 20
PROVE = "ingot.bake.layers.lower_disk:prove"


@dataclass(frozen=True)
class LowerDisk:
    """A disk with the lower layer alone: its file, its blocks' digests, its layout, the
    paths that each check must examine.
    """

    disk: Path
    blocks: Tuple[Optional[str], ...]
    layout: Layout
    suspects: Mapping[str, Sequence[str]]


def disk_key(
    layer: LowerLayer, spec: DiskSpec, inodes: int, boot: Sequence[Tuple[str, Optional[str]]]
) -> str:
    """Return the digest of what makes a lower layer's disk.

    ``boot``: path and digest of what the recipe changed of kernel and modules, of which the boot image is
    made.
    """
    inputs = {
        "layer": layer.directory.name,
        "name": spec.name,
        "size": spec.size,
        "epoch": spec.epoch,
        "architecture": spec.architecture,
        "kernel": spec.kernel.name,
        "command_line": spec.command_line,
        "os_release": spec.os_release,
        "bios": spec.bios,
        "boot": list(boot),
        "inodes": inodes,
        "engine": _code_digest(),
    }
    return key_of(inputs)


@lru_cache(maxsize=None)
def _code_digest() -> str:
    return code_digest(
        [*(ENGINE / "disk").rglob("*.[ps][yh]"), *(ENGINE / "hygiene").glob("*.py"), Path(__file__)]
    )


@dataclass(frozen=True)
class WantedDisk:
    """A lower layer's disk: how it is made, its :func:`disk_key`, the room that the upper layer needs."""

    spec: DiskSpec
    key: str
    more: More


def copied_lower_disk(
    layer: LowerLayer, wanted: WantedDisk, target: Path, progress: Progress, use: ExitStack
) -> LowerDisk:
    """Return the disk of ``layer``, written if it is not kept yet; it stays until ``use`` ends. ``target``
    becomes a copy of it.

    Raises BakeError.
    """
    place = layer.disks / wanted.key

    def make() -> None:
        _make(layer, wanted, place, target, progress)
        remove_oldest(layer.disks, wanted.key)

    obtain(place, make, use=use, waiting=lambda: progress("waiting: another bake writes the same disk"))
    if not target.exists():
        copy_disk(place / "disk.raw", target)
    state: Dict[str, Any] = pickle.loads((place / "state").read_bytes())  # noqa: S301 - the store is trusted
    layout = Layout(**state["layout"])
    return LowerDisk(place / "disk.raw", tuple(state["blocks"]), layout, state["suspects"])


def _make(layer: LowerLayer, wanted: WantedDisk, place: Path, target: Path, progress: Progress) -> None:
    """Make the disk in the directory ``place``; write the ``target`` at the same time where its copy would
    share no blocks: that spares reading it again.
    """
    with making(place) as unfinished:
        unfinished.mkdir(parents=True)
        disk = unfinished / "disk.raw"
        entries = list(layer.index.values())
        progress("writing the disk of the packages")
        copy = None if _can_share(unfinished) else target
        digest, layout = write_disk(wanted.spec, entries, disk, more=wanted.more, copy=copy)
        progress("examining the disk of the packages")
        with proof(layer, disk):
            found = suspects(disk, layer.index, entries, [HOSTNAME])
        state = {"blocks": digest.blocks, "layout": asdict(layout), "suspects": found}
        (unfinished / "state").write_bytes(pickle.dumps(state, protocol=4))


@contextmanager
def proof(layer: LowerLayer, disk: Path) -> Iterator[None]:
    """Read the disk back meanwhile, on another processor: :func:`prove`. Raises BakeError at the end."""
    argument = {"layer": str(layer.directory), "epoch": layer.epoch}
    with disk.open("rb") as file, spawner().call(PROVE, Path("/"), argument, file.fileno()) as child:
        yield
        try:
            child.result()
        except SpawnError as error:
            raise BakeError(str(error)) from error


def prove(descriptor: int, *, layer: str, epoch: int) -> Dict[str, Any]:
    """Read a disk back: what bakes take from the index of ``layer`` must be what is on it.

    For :meth:`~ingot.bake.runtime.sandbox.Spawner.call`. Raises BakeError.
    """
    index = LowerLayer(Path(layer), epoch).index
    with read_ext4(Path(f"/dev/fd/{descriptor}")) as reader:
        found = {entry.path: entry for entry in reader.entries()}
    for path, entry in found.items():
        known = index.get(path)
        if path != "/lost+found" and (known is None or _plain(known) != _plain(entry)):
            raise BakeError(f"{path} is not on the disk as it is in the layer: this is a defect of Ingot")
    if len(found) - ("/lost+found" in found) != len(index) - ("/lost+found" in index):
        raise BakeError("the disk does not hold all of the layer: this is a defect of Ingot")
    return {}


def _plain(entry: Entry) -> Entry:
    return entry._replace(source=None, data=None, opaque=False)


def remove_oldest(disks: Path, newest: str) -> None:
    """Remove the disks beyond :data:`MOST` that were used longest ago, but none that a
    bake uses, nor that named ``newest``.

    Other bakes may do the same at the same time: what is listed may have gone the next moment.
    """
    found = []
    for path in disks.iterdir():
        if path.suffix not in (".tmp", ".lock") and path.name != newest:
            with suppress(FileNotFoundError):
                found.append((-path.stat().st_mtime, path))
    for _, path in sorted(found)[MOST - 1 :]:
        with try_locked(disks / f"{path.name}.lock") as free:
            if free and path.exists():
                remove_aside(path, path.with_name(f"{path.name}.old.tmp"))


def copy_disk(source: Path, target: Path) -> None:
    """Copy a sparse disk; where the file system can, the copies share their blocks. Raises OSError."""
    # For its owner alone: it holds files that only root of the image may read.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with source.open("rb") as old, os.fdopen(os.open(target, flags, 0o600), "wb") as new:
        with suppress(OSError):  # most file systems cannot
            fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
            return
        os.ftruncate(new.fileno(), os.fstat(old.fileno()).st_size)
        for start, end in _data(old.fileno()):
            os.lseek(new.fileno(), start, os.SEEK_SET)
            while start < end:
                start += os.sendfile(new.fileno(), old.fileno(), start, min(end - start, _PIECE))


def _can_share(directory: Path) -> bool:
    """Tell whether files in ``directory`` can share blocks."""
    with TemporaryFile(dir=directory) as old, TemporaryFile(dir=directory) as new:
        try:
            fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
        except OSError:
            return False
    return True


def _data(file: int) -> List[Tuple[int, int]]:
    """Return (start, end) of what is no hole: lseek(2)."""
    found: List[Tuple[int, int]] = []
    end = 0
    while True:
        try:
            start = os.lseek(file, end, os.SEEK_DATA)
        except OSError:  # ENXIO: no data follows
            return found
        end = os.lseek(file, start, os.SEEK_HOLE)
        found.append((start, end))
