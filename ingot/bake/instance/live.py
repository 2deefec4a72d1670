"""A recipe on the live root of a builder that booted the recipe's base AMI: packages,
recipe, seal, manifest, blocks.

The tree is reached through a second mount of the root file system, so that what is mounted on it (/proc,
/run, /boot/efi) stays apart. When the tree is sealed the file system is made read-only, and the disk below it
is read as it is: those are the blocks of the image.
"""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

from ingot.bake.hygiene import Declared
from ingot.bake.hygiene.live import enforce_tree
from ingot.bake.image.accounts import add_accounts
from ingot.bake.image.configuration import set_configuration
from ingot.bake.image.files import place_files
from ingot.bake.image.machine import (
    VOLATILE,
    install_programs,
    set_locale_and_time,
    set_services,
    set_tests,
    set_volatile,
)
from ingot.bake.image.seal import seal, seal_identities
from ingot.bake.image.storage import set_storage
from ingot.bake.instance.system_packages import install, installed_rpms, stop_upgrades
from ingot.bake.layers.additions import put_additions
from ingot.bake.layers.upper import run_step, short
from ingot.bake.runtime import mounts
from ingot.bake.runtime.chroot import Chroot
from ingot.bake.tree import inventory
from ingot.bake.tree.manifest import contents_of, manifest_text
from ingot.bake.tree.tree import Entry, hash_files, scan
from ingot.bake.tree.volatile import BASELINE, Volatile, read_volatile
from ingot.blocks import Digests, DiskDigest, digest_disk
from ingot.errors import BakeError
from ingot.process import run
from ingot.progress import Progress
from ingot.retry import Backoff, until
from ingot.spec import BakeSpec

READ_ONLY_LIMIT = 60.0  # seconds in which the kernel must have made the root read-only
BLKFLSBUF = 0x1261  # ioctl(2): write and forget what is cached of a block device; linux/fs.h


class BakedDisk(NamedTuple):
    """A disk that is an image: its device or file, its digests, and the text of its manifest."""

    path: Path
    blocks: Digests
    root_digest: str
    manifest: str


def bake_live(spec: BakeSpec, sources: Path, scratch: Path, progress: Progress) -> BakedDisk:
    """Put the recipe on this machine's root, seal it, make it read-only.

    ``scratch`` must not lie on the root file system; ``scratch/packages`` has the files that the lock names.
    Nothing can be written to the root any more after this. Raises BakeError.
    """
    root = scratch / "root"
    root.mkdir()
    mounts.bind(Path("/"), root)
    stop_upgrades()
    progress("taking the base's inventory")
    before = hash_files(scan(root, live=True), live=True)
    install(spec.install, progress)
    seal_identities(root)  # before the recipe: what it makes of these is its own
    apply(spec, root, sources, scratch / "packages", progress)
    quiet_logs()
    progress("sealing")
    finish(spec, root)
    make_read_only(progress)
    entries = hash_files(scan(root))
    hygiene = enforce_tree(root, entries, Declared.of(spec), before, progress)
    device = disk_of_root()
    progress(f"reading {device}")
    disk = read_disk(device)
    manifest = live_manifest(spec, LiveRoot(root, before, entries, os.uname().release), disk, hygiene)
    return BakedDisk(device, disk.blocks, disk.root_digest, manifest)


def apply(spec: BakeSpec, root: Path, sources: Path, packages: Path, progress: Progress) -> None:
    """Put onto ``root`` what the recipe says: artifacts, accounts, files, settings, steps, services, and
    Ingot's own programs. ``packages`` is the directory of the files that the lock names.
    """
    chroot = Chroot(root, epoch=spec.epoch, online=True)
    put_additions(root, spec, packages, progress)
    progress("applying the recipe")
    add_accounts(root, spec.groups, spec.users, epoch=spec.epoch)
    place_files(root, spec.files, sources)
    chroot.mount()
    try:
        install_programs(chroot)
        set_volatile(root, spec)
        set_tests(root, spec)
        set_locale_and_time(chroot, spec)
        set_configuration(chroot, spec)
        set_storage(chroot, spec)
        for number, step in enumerate(spec.steps, 1):
            progress(f"step {number} of {len(spec.steps)}: {short(step.run)}")
            run_step(chroot, step)
        set_services(chroot, spec.services)
    finally:
        chroot.unmount()


def finish(spec: BakeSpec, root: Path) -> None:
    """Seal the tree, and leave in it the list of what it holds, by which a clone names what differs."""
    seal(root, epoch=spec.epoch, declared=[file.target for file in spec.files])
    baseline = root / BASELINE[1:]
    baseline.mkdir(parents=True, exist_ok=True)
    (baseline / "image").write_bytes(b"")
    entries = hash_files(scan(root, live=True), live=True)
    (baseline / "base").write_bytes(inventory.files_text(entries, _volatile(root)))


def quiet_logs() -> None:
    """Let the journal write to memory from now on: journalctl(1), --relinquish-var.

    A system without it has no such log.
    """
    run(["journalctl", "--relinquish-var"], check=False)


def make_read_only(progress: Progress) -> None:
    """Make all file systems read-only by the kernel's own emergency remount, and wait until the root is.

    Raises BakeError.
    """
    progress("making the root read-only")
    os.sync()
    Path("/proc/sys/kernel/sysrq").write_text("1\n")
    Path("/proc/sysrq-trigger").write_text("u")
    if not until(
        lambda: "ro" in root_mount()[1].split(","), limit=READ_ONLY_LIMIT, backoff=Backoff(0.2, 0.2)
    ):
        raise BakeError("the kernel did not make the root file system read-only: something holds it open")
    os.sync()


def root_mount() -> Tuple[str, str]:
    """Return source and options of what is mounted at / (proc(5), /proc/self/mounts): the
    last line counts.
    """
    found = ("", "")
    for line in Path("/proc/self/mounts").read_text().splitlines():
        source, place, _, options, *_ = line.split(" ")
        if place == "/":
            found = (source, options)
    return found


def disk_of_root() -> Path:
    """Return the whole disk on which the root file system lies. Raises BakeError when it is on none."""
    status = Path("/").stat()
    number = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
    link = Path("/sys/dev/block") / number
    if not link.exists():
        raise BakeError(f"the root file system ({root_mount()[0]}) is on no block device")
    place = link.resolve()
    if (place / "partition").exists():
        place = place.parent
    return Path("/dev") / place.name


def read_disk(device: Path) -> DiskDigest:
    """Return the digests of a disk."""
    handle = os.open(device, os.O_RDONLY)
    try:
        if stat.S_ISBLK(os.fstat(handle).st_mode):
            # The file system wrote to the partition; what udev or growpart once read of the whole disk is a
            # cache apart.
            fcntl.ioctl(handle, BLKFLSBUF)
        return digest_disk(handle)
    finally:
        os.close(handle)


def power_off() -> None:
    """Cut the power: nothing can be written any more that a clean shutdown would have to."""
    Path("/proc/sysrq-trigger").write_text("o")


def _volatile(root: Path) -> Volatile:
    """Return what a clone of the image may change, as the image itself says it."""
    return read_volatile((root / VOLATILE[1:]).read_text(encoding="utf-8"))


class LiveRoot(NamedTuple):
    """A machine's root, what was on it ``before`` the recipe and what is now, and the kernel that runs."""

    path: Path
    before: Sequence[Entry]
    entries: Sequence[Entry]
    kernel: str


def live_manifest(spec: BakeSpec, root: LiveRoot, disk: DiskDigest, hygiene: Mapping[str, Any]) -> str:
    """Return the text of the manifest."""
    was = {entry.path: inventory.file_line(entry) for entry in root.before}
    changed = {entry.path for entry in root.entries if was.get(entry.path) != inventory.file_line(entry)}
    contents = {path: _read(root.path, path) for path in inventory.READ}
    image = contents_of(root.entries, changed, contents, _volatile(root.path))
    if not contents[inventory.STATUS]:
        image = image._replace(rpms=_rpms(root.path))
    return manifest_text(spec, image, root.kernel, disk, hygiene)


def _rpms(root: Path) -> List[Dict[str, Any]]:
    return [
        {
            "name": name,
            "version": version,
            "architecture": architecture,
            "installed_kib": int(kib),
            "source": name,
        }
        for name, version, architecture, kib in installed_rpms(root)
    ]


def _read(root: Path, path: str) -> bytes:
    """Return a file of the tree; nothing for dpkg's database where rpm keeps the books."""
    file = root / path[1:]
    return file.read_bytes() if file.exists() or path != inventory.STATUS else b""
