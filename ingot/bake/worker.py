"""The bake itself, in a process with mounts of its own: ``python -m ingot.bake.worker``.

:mod:`ingot.bake.engine` starts it. stdin is a socket: the first byte brings the descriptors of locks, which
stay open; the line after it is the job, a :class:`~ingot.bake.job.BakeJob`; then stdin stays open as long as
the engine lives: at its end the work is given up and cleaned away. Every line on stdout is one JSON object:
``{"progress": text}``, ``{"need": "packages"}`` or ``{"need": "downloads"}`` (a line on stdin says that they
are there; those of a stage have its name beside it, ``"stage": name``), and at the end ``{"error": {…}}`` or
``{"done": true}``.
"""

from __future__ import annotations

import errno
import gc
import json
import os
import shutil
import signal
import socket
import sys
import threading
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional, Sequence

from ingot.bake.hygiene import Declared, Known, enforce, examine
from ingot.bake.image.machine import UNITS
from ingot.bake.job import BakeJob, read_job
from ingot.bake.layers.disk import DiskCopy, disk_spec
from ingot.bake.layers.layer import LowerLayer
from ingot.bake.layers.lower import LayerStore
from ingot.bake.layers.overlay import Overlay
from ingot.bake.layers.upper import apply_recipe, collect, keep_root, read_contents
from ingot.bake.runtime.chroot import HOSTNAME
from ingot.bake.runtime.rights import KEPT
from ingot.bake.runtime.sandbox import loopback_up, spawner
from ingot.bake.tree.inventory import READ
from ingot.bake.tree.manifest import Contents, manifest_text
from ingot.errors import MAKE_ROOM, IngotError
from ingot.spec import BakeSpec


def say(**message: Any) -> None:  # noqa: ANN401 - any JSON
    """Write one line to the engine."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def progress(text: str) -> None:
    """Tell the engine what goes on."""
    say(progress=text)


def work(job: BakeJob) -> None:
    """Bake: make or find the lower layer, put the recipe on it, write disk and manifest
    into the output directory.
    """
    spec, places = job.spec, job.directories
    output = places.output
    with ExitStack() as use:
        try:
            layers = LayerStore(places.layers, places.packages, progress, _ask_for)
            if spec.stages:
                from ingot.bake.layers.stages import Stages  # most recipes have none

                stages = Stages(spec.stages, layers, places.sources, _ask_for, use)
                spec = replace(spec, files=stages.files(spec.files))
            layer = layers.lower_layer(spec, use)
        except IngotError as error:
            if job.keep:
                raise error.with_more_hint(
                    "nothing is kept: it failed before there was a root directory for the recipe"
                ) from error
            raise
        disk = use.enter_context(closing(DiskCopy(spec, layer, output / "disk.raw", progress, use)))
        directory = output / "work"
        directory.mkdir()
        overlay = Overlay(layer.root, directory)
        try:
            overlay.mount()
            try:
                apply_recipe(overlay, spec, places.sources, progress)
                _write(spec, layer, overlay, disk, output)
            except IngotError as error:
                if job.keep:
                    raise error.with_more_hint(f"{KEPT} {keep_root(overlay, output)}") from error
                raise
        finally:
            overlay.unmount()
            shutil.rmtree(directory)


def _write(spec: BakeSpec, layer: LowerLayer, overlay: Overlay, disk: DiskCopy, output: Path) -> None:
    volatile = layer.index.volatile.with_recipe(spec.volatile, (file.target for file in spec.files))
    changes = collect(layer, overlay, spec.epoch, volatile)
    contents = read_contents(overlay.root, READ)
    progress("writing the disk")
    volume = disk_spec(spec, layer, overlay.root)
    lower = disk.take(volume, changes)
    digest = disk.update(volume, lower, changes)
    progress("examining the disk")
    known = Known(lower.disk, lower.blocks, digest.blocks, layer.index, lower.suspects)
    report = examine(
        output / "disk.raw", Declared.of(spec), traces=[HOSTNAME], shipped=layer.index, known=known
    )
    enforce(report, progress)
    lines, text = layer.index.lines(changes, volatile)
    image = Contents(contents, lines, text, layer.index.links(changes, UNITS))
    (output / "manifest.json").write_text(
        manifest_text(spec, image, volume.kernel_version, digest, report.plain())
    )


class GivenUpError(BaseException):
    """The engine has gone, or asked to stop."""


def _give_up(*_: object) -> None:
    raise GivenUpError


_fetched = threading.Semaphore(0)


def _ask_for(what: str, stage: Optional[str] = None) -> None:
    """Let the engine fetch packages or what else is downloaded, of a stage too, and wait until it is
    there.
    """
    say(need=what, **({} if stage is None else {"stage": stage}))
    _fetched.acquire()


def _watch_engine() -> None:
    """Hear that the packages are there; at the end of stdin, which only the engine's end
    brings, stop the work in the main thread.
    """
    for _ in sys.stdin:
        _fetched.release()
    os.kill(os.getpid(), signal.SIGTERM)


def _take_locks() -> Sequence[int]:
    """Receive the descriptors that come with the job: who has them holds the locks."""
    with socket.socket(fileno=os.dup(0)) as channel:
        _, locks, _, _ = socket.recv_fds(channel, 1, 8)
    return locks


def main() -> int:
    """Do the job that stdin names."""
    os.umask(0o022)
    socket.sethostname(HOSTNAME)  # in a UTS namespace of its own; each program of the image gets a copy
    loopback_up()
    _locks = _take_locks()
    text = sys.stdin.readline()
    spawner()  # while there is one thread, and only when there is a job: often there is none
    signal.signal(signal.SIGTERM, _give_up)
    threading.Thread(target=_watch_engine, daemon=True).start()
    try:
        work(read_job(text))
        say(done=True)
    except GivenUpError:
        return 1
    except IngotError as error:
        say(error={"type": type(error).__name__, "message": error.message, "hint": error.hint})
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        hint = MAKE_ROOM if error.errno in (errno.ENOSPC, errno.EDQUOT) else None
        message = f"{where}{error.strerror or error}"
        say(error={"type": "BakeError", "message": message, "hint": hint})
        return 1
    return 0


if __name__ == "__main__":
    # Tens of thousands of objects that live to the end: looking for cycles among them, and freeing each at
    # the end, is for nothing.
    gc.disable()
    _status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_status)
