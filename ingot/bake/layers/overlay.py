"""An overlay: a tree that shows a lower layer with what was changed on it, while the layer stays as it is."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ingot.bake.runtime import mounts
from ingot.errors import BakeError
from ingot.process import CommandError


class Overlay:
    """A tree that shows ``lower`` with what was changed on it; the changes are in ``work/upper``."""

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
            # The file system of the store cannot carry changes (it is an overlay itself, as in a container):
            # use memory.
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
            # Whatever becomes of this mount, removing the work directory must not remove the layer.
            mounts.make_read_only(self.work / "lower")
        # By a descriptor: a comma or colon in the store's own path would end the option. No redirects and no
        # copies of metadata alone: the upper directory is read without the overlay, so it must hold whole
        # files. In a user namespace that is the default.
        rest = "userxattr" if _in_user_namespace() else "redirect_dir=off,metacopy=off"
        if _has_volatile():
            # Without it, unmounting waits until everything that anybody wrote to that file system is on the
            # disk, this bake's own disk included.
            rest = f"{rest},volatile"
        work = os.open(self.work, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            here = f"/proc/self/fd/{work}"
            layers = f"lowerdir={here}/lower,upperdir={here}/upper,workdir={here}/scratch"
            mounts.mount("overlay", self.root, f"{layers},index=off,{rest}")
        finally:
            os.close(work)

    def unmount_root(self) -> None:
        """Unmount the view alone: ``upper`` is then as the kernel left it, and may be read and moved.

        Raises CommandError when it is in use.
        """
        mounts.unmount(self.root)

    def unmount(self) -> None:
        """Unmount whatever of it is mounted."""
        for place in (self.root, self.work / "lower", self.work, self.work / "lower"):
            # What is in use goes when it is free.
            with suppress(CommandError):
                mounts.detach(place)


def make_bare(directory: Path) -> None:
    """Give an empty directory to root, mode 0755, without what it inherited from the
    store's: a group (setgid), an ACL (acl(5)).
    """
    os.chown(directory, 0, 0)
    for attribute in os.listxattr(directory):
        if attribute.startswith("system.posix_acl_"):
            os.removexattr(directory, attribute)
    directory.chmod(0o755)


def _in_user_namespace() -> bool:
    """Tell whether this process is root in a user namespace only: user_namespaces(7), the
    first namespace maps all ids.
    """
    return Path("/proc/self/uid_map").read_text().split() != ["0", "0", "4294967295"]


def _has_volatile() -> bool:
    """Tell whether the kernel's overlayfs can leave out syncing: since Linux 5.10."""
    major, minor = os.uname().release.split("-")[0].split(".")[:2]
    return (int(major), int(minor)) >= (5, 10)
