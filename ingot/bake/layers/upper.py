"""The upper layer: what the recipe puts on its packages, made in an overlay so that the
lower layer stays as it is.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Mapping, Sequence

from ingot.bake.disk.identity import root_partition
from ingot.bake.image.accounts import add_accounts
from ingot.bake.image.configuration import set_configuration
from ingot.bake.image.files import place_files
from ingot.bake.image.machine import set_identity, set_locale_and_time, set_services
from ingot.bake.image.seal import seal
from ingot.bake.image.storage import set_storage
from ingot.bake.layers.layer import LowerLayer
from ingot.bake.layers.overlay import Overlay
from ingot.bake.runtime.chroot import Chroot, CommandFailedError, in_root
from ingot.bake.runtime.kernel import kernel_release
from ingot.bake.tree.inventory import image_baseline
from ingot.bake.tree.tree import Changes, changes, file_entry, hash_files, scan, sort_entries
from ingot.bake.tree.volatile import BASELINE, Volatile
from ingot.errors import StepError
from ingot.process import run
from ingot.progress import Progress
from ingot.spec import BakeSpec, StepSpec


def apply_recipe(overlay: Overlay, spec: BakeSpec, sources: Path, progress: Progress) -> None:
    """Put onto the packages what the recipe says: accounts, files, settings, steps,
    services; then seal the tree.
    """
    chroot = Chroot(overlay.root, epoch=spec.epoch, kernel=kernel_release(spec))
    progress("applying the recipe")
    add_accounts(overlay.root, spec.groups, spec.users, epoch=spec.epoch)
    place_files(overlay.root, spec.files, sources)
    set_identity(overlay.root, spec, str(root_partition(spec.name)))
    chroot.mount()
    try:
        set_locale_and_time(chroot, spec)
        set_configuration(chroot, spec)
        set_storage(chroot, spec)
        for number, step in enumerate(spec.steps, 1):
            progress(f"step {number} of {len(spec.steps)}: {short(step.run)}")
            run_step(chroot, step)
            if chroot.left:
                progress(f"step {number} left processes running, which were ended: {' '.join(chroot.left)}")
        set_services(chroot, spec.services, spec.unit_places)
    finally:
        chroot.unmount()
    seal(overlay.root, epoch=spec.epoch, declared=[file.target for file in spec.files])


def run_step(chroot: Chroot, step: StepSpec) -> None:
    """Run one step of the recipe.

    Raises StepError with its place, how it ended, and the end of what it printed.
    """
    what = f"{step.file}:{step.line}: the step `{short(step.run)}` failed"
    try:
        chroot.run(["/bin/sh", "-euc", step.run], timeout=float(step.timeout), what=what)
    except CommandFailedError as error:
        raise StepError(
            error.message, hint="a step runs in the image without a network, as root, by `/bin/sh -eu`"
        ) from error


def short(text: str) -> str:
    """Return the first line of a step."""
    first, _, rest = text.strip().partition("\n")
    return f"{first} …" if rest else first


def collect(layer: LowerLayer, overlay: Overlay, epoch: int, volatile: Volatile) -> Changes:
    """Return what the recipe changed on the lower layer, digests included.

    The list of it, which the image itself carries, is among the entries.
    """
    found = changes(layer.index, hash_files([entry._replace(mtime=epoch) for entry in scan(overlay.upper)]))
    text = image_baseline(layer.index, found, volatile)
    return Changes(
        sort_entries([*found.entries, file_entry(f"{BASELINE}/image", text, mtime=epoch)]), found.gone
    )


def keep_root(overlay: Overlay, output: Path) -> Path:
    """Copy the tree as it is to ``output/root`` for inspection; return where it is."""
    kept = output / "root"
    shutil.rmtree(kept, ignore_errors=True)
    run(["cp", "--archive", "--one-file-system", overlay.root, kept])
    return kept


def read_contents(root: Path, paths: Sequence[str]) -> Mapping[str, bytes]:
    """Return the contents of files of the tree, by path; links are followed inside the tree."""
    return {path: in_root(root, path, follow=True).read_bytes() for path in paths}
