"""The engine: executes a plan. The work is done by a process with mounts of its own (:mod:`ingot.bake.worker`)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

import ingot
from ingot import errors
from ingot.bake.foreign import check_architecture
from ingot.bake.rights import check_rights, own_mounts
from ingot.errors import BakeError, IngotError
from ingot.process import require

Progress = Callable[[str], None]


def read_manifest(output: Path) -> Dict[str, Any]:
    """Return the manifest of the bake that ended in ``output``."""
    manifest: Dict[str, Any] = json.loads((output / "manifest.json").read_text(encoding="utf-8"))
    return manifest


def bake(
    plan: Mapping[str, Any],
    *,
    sources: Path,
    packages: Path,
    layers: Path,
    output: Path,
    progress: Progress,
    keep: bool = False,
    hold: Sequence[int] = (),
    fetch: Callable[[], None] = lambda: None,
) -> None:
    """Bake ``plan``; ``output`` then holds disk.raw and manifest.json (:func:`read_manifest`).

    ``sources`` is the recipe's directory, ``packages`` where its packages are (:mod:`ingot.bake.fetch`), which ``fetch`` brings when they
    are needed, ``layers`` where lower layers are kept. ``hold``: descriptors of locks (:mod:`ingot.bake.locks`) that stay held until the worker has ended, even where this process is killed.
    On failure ``output`` holds nothing of the bake, unless ``keep``: then ``output/root`` is the tree as the failure left it.
    Raises BakeError, StepError, MissingToolError, MissingRightError.
    """
    for tool in ("dpkg-deb", "tar", "mount"):
        require(tool, needed_for="bake")
    if os.geteuid() != 0:
        check_rights()  # beforehand: some machines let the worker hang instead of fail
    check_architecture(plan["architecture"])
    output.mkdir(parents=True, exist_ok=True)
    layers.mkdir(parents=True, exist_ok=True)
    places = {"sources": sources, "packages": packages, "layers": layers, "output": output}
    job = {"plan": plan, "keep": keep, **{name: str(path.absolute()) for name, path in places.items()}}
    try:
        _run_worker(job, hold, progress, fetch)
    except BaseException:
        for name in ("disk.raw", "manifest.json"):
            (output / name).unlink(missing_ok=True)
        raise


def _command() -> List[str]:
    # The worker is the first process of a namespace of its own: however it ends, all that it started ends with it. It needs no network, and
    # what it runs in the image gets none.
    spaces = ["--uts", "--net", "--pid", "--fork", "--kill-child=SIGKILL"]
    # -S: it needs the standard library alone, and starts the sooner.
    return [*own_mounts(), *spaces, sys.executable, "-S", "-m", "ingot.bake.worker"]


def _run_worker(
    job: Mapping[str, Any], hold: Sequence[int], progress: Progress, fetch: Callable[[], None]
) -> None:
    """Run the worker to its end, pass its progress on, raise its error."""
    with tempfile.TemporaryFile(mode="w+", encoding="utf-8", errors="replace") as trouble:
        worker = subprocess.Popen(
            _command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=trouble,
            env=_environment(),
            pass_fds=hold,
            text=True,
        )
        try:
            failure = _talk(worker, job, progress, fetch)
        finally:
            if worker.stdin is not None:
                with suppress(BrokenPipeError):
                    worker.stdin.close()  # it gives up at that, if it has not ended; unshare(1) passes no signal on to it
            worker.wait()
            if worker.stdout is not None:
                worker.stdout.close()
        trouble.seek(0)
        end = trouble.read().strip()[-2000:]
    if failure is not None:
        raise failure
    if worker.returncode != 0:
        check_rights()
        raise BakeError(f"the bake ended with status {worker.returncode}" + (f"\n{end}" if end else ""))


def _environment() -> Dict[str, str]:
    """Return the worker's environment: where Python and Ingot are, nothing that could reach the image."""
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    package = str(Path(ingot.__file__).parent.parent)
    return {"PATH": path, "PYTHONPATH": package, "LC_ALL": "C.UTF-8", "TZ": "UTC", "PYTHONHASHSEED": "0"}


def _talk(
    worker: "subprocess.Popen[str]", job: Mapping[str, Any], progress: Progress, fetch: Callable[[], None]
) -> Optional[IngotError]:
    """Give the worker its job and hear it to its end. Its stdin stays open: it is how the worker knows that we live."""
    if worker.stdin is None or worker.stdout is None:
        raise BakeError("the bake's process has no pipes")
    with suppress(BrokenPipeError):  # it has ended already: its status and its last words say why
        worker.stdin.write(json.dumps(job) + "\n")
        worker.stdin.flush()
    failure: Optional[IngotError] = None
    for line in worker.stdout:
        message = json.loads(line)
        if "progress" in message:
            progress(message["progress"])
        elif "need" in message:
            fetch()
            worker.stdin.write("\n")
            worker.stdin.flush()
        elif "error" in message:
            if message["error"]["type"] == "CommandError":
                check_rights()  # a mount, most likely: it knows what to do about it
            failure = _error(**message["error"])
    return failure


def _error(type: str, message: str, hint: Optional[str]) -> IngotError:  # noqa: A002 - the worker's word
    if type == "MissingToolError":
        # Its parts do not travel; its message and hint say all that a user needs.
        error: IngotError = IngotError(message, hint=hint)
        error.exit_code = errors.MissingToolError.exit_code
        return error
    kinds = {"StepError": errors.StepError, "SizeError": errors.SizeError}
    return kinds.get(type, BakeError)(message, hint=hint)
