"""The upper layer: what the recipe puts on its packages, made in an overlay so that the lower layer stays as it is."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, Mapping, Sequence

from ingot.bake.disk.identity import root_partition
from ingot.bake.image.accounts import add_accounts
from ingot.bake.image.files import place_files, targets
from ingot.bake.image.machine import set_identity, set_locale_and_time, set_services
from ingot.bake.image.seal import seal
from ingot.bake.layers.lower import Base
from ingot.bake.runtime import mounts
from ingot.bake.runtime.chroot import Chroot, CommandFailedError, in_root
from ingot.bake.tree.inventory import BASELINE, image_baseline
from ingot.bake.tree.tree import Changes, changes, file_entry, hash_files, scan, sort_entries
from ingot.errors import BakeError, StepError
from ingot.process import CommandError, run
from ingot.progress import Progress


class Overlay:
    """A tree that shows ``lower`` with what was changed on it; the changes lie in ``work/upper``."""

    def __init__(self, lower: Path, work: Path) -> None:
        self.lower = lower
        self.work = work
        self.upper = work / "upper"
        self.root = work / "root"

    def mount(self) -> None:
        """Mount it. Raises BakeError when the kernel or the file system cannot do that."""
        try:
            self._mount()
        except CommandError:
            # The file system of the store cannot carry changes (it is an overlay itself, as in a container): use memory.
            mounts.unmount(self.work / "lower")
            mounts.mount("tmpfs", self.work, "mode=755")
            try:
                self._mount()
            except CommandError as error:
                raise BakeError(
                    f"no overlay can be mounted on {self.lower}: {error.output.strip()}",
                    hint="the kernel must offer overlayfs (modprobe overlay)",
                ) from error

    def _mount(self) -> None:
        for name in ("lower", "upper", "scratch", "root"):
            (self.work / name).mkdir(exist_ok=True)
            make_bare(self.work / name)
        mounts.bind(self.lower, self.work / "lower")
        with suppress(CommandError):  # a user namespace may refuse it
            # Whatever becomes of this mount, who removes the directory of work cannot remove the layer.
            mounts.make_read_only(self.work / "lower")
        # By a descriptor: a comma or colon in the store's own path would end the option. No redirects, no copies of metadata alone:
        # the upper directory shall hold whole files, for it is read without the overlay. In a user namespace that is the default.
        rest = "userxattr" if _in_user_namespace() else "redirect_dir=off,metacopy=off"
        if _has_volatile():
            # Without it, unmounting waits until all that anybody wrote to that file system is on the disk, this bake's own disk included.
            rest = f"{rest},volatile"
        work = os.open(self.work, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            here = f"/proc/self/fd/{work}"
            layers = f"lowerdir={here}/lower,upperdir={here}/upper,workdir={here}/scratch"
            mounts.mount("overlay", self.root, f"{layers},index=off,{rest}")
        finally:
            os.close(work)

    def unmount_root(self) -> None:
        """Unmount the view alone: ``upper`` is then as the kernel left it, and may be read and moved. Raises CommandError when it is in use."""
        mounts.unmount(self.root)

    def unmount(self) -> None:
        """Unmount whatever of it is mounted."""
        for place in (self.root, self.work / "lower", self.work, self.work / "lower"):
            # What is in use goes when it is free.
            with suppress(CommandError):
                mounts.detach(place)


def make_bare(directory: Path) -> None:
    """Give an empty directory to root, mode 0755, without what it inherited from the store's: a group (setgid), an ACL (acl(5))."""
    os.chown(directory, 0, 0)
    for attribute in os.listxattr(directory):
        if attribute.startswith("system.posix_acl_"):
            os.removexattr(directory, attribute)
    directory.chmod(0o755)


def _in_user_namespace() -> bool:
    """Tell whether this process is root in a user namespace only: user_namespaces(7), the first namespace maps all ids."""
    return Path("/proc/self/uid_map").read_text().split() != ["0", "0", "4294967295"]


def _has_volatile() -> bool:
    """Tell whether the kernel's overlayfs can leave out syncing: since Linux 5.10."""
    major, minor = os.uname().release.split("-")[0].split(".")[:2]
    return (int(major), int(minor)) >= (5, 10)


def apply_recipe(overlay: Overlay, plan: Mapping[str, Any], sources: Path, progress: Progress) -> None:
    """Put onto the packages what the recipe says: accounts, files, settings, steps, services; then seal the tree."""
    epoch = int(plan["epoch"])
    chroot = Chroot(overlay.root, epoch=epoch)
    progress("applying the recipe")
    add_accounts(overlay.root, plan["groups"], plan["users"], epoch=epoch)
    place_files(overlay.root, plan["files"], sources)
    set_identity(overlay.root, plan, str(root_partition(plan["name"])))
    chroot.mount()
    try:
        set_locale_and_time(chroot, plan)
        for number, step in enumerate(plan["steps"], 1):
            progress(f"step {number} of {len(plan['steps'])}: {short(step['run'])}")
            run_step(chroot, step)
            if chroot.left:
                progress(f"step {number} left processes running, which were ended: {' '.join(chroot.left)}")
        set_services(chroot, plan["services"], plan.get("unit_places", {}))
    finally:
        chroot.unmount()
    seal(overlay.root, epoch=epoch, declared=targets(plan))


def run_step(chroot: Chroot, step: Mapping[str, Any]) -> None:
    """Run one step of the recipe. Raises StepError with its place, how it ended, and the end of what it printed."""
    what = f"{step.get('file', 'recipe.yaml')}:{step['line']}: the step `{short(step['run'])}` failed"
    try:
        chroot.run(["/bin/sh", "-euc", step["run"]], timeout=float(step["timeout"]), what=what)
    except CommandFailedError as error:
        raise StepError(
            error.message, hint="a step runs in the image without a network, as root, by `/bin/sh -eu`"
        ) from error


def short(text: str) -> str:
    """Return the first line of a step."""
    first, _, rest = text.strip().partition("\n")
    return f"{first} …" if rest else first


def collect(base: Base, overlay: Overlay, epoch: int) -> Changes:
    """Return what the recipe changed on the lower layer, digests included.

    The list of it, which the image itself carries, is among the entries.
    """
    found = changes(base.index, hash_files([entry._replace(mtime=epoch) for entry in scan(overlay.upper)]))
    text = image_baseline(base.index, found)
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
