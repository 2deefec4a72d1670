"""The image's disk: a copy of the lower layer's, begun while the recipe is applied, on
which the recipe's changes are then written.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import List, Mapping, Optional, Tuple

from ingot.bake.disk import DiskSpec, Lower, More, WrittenDisk, read_ext4, update_disk
from ingot.bake.layers.layer import LowerLayer
from ingot.bake.layers.lower_disk import LowerDisk, WantedDisk, copied_lower_disk, disk_key
from ingot.bake.runtime.chroot import in_root
from ingot.bake.tree.tree import Changes, Entry, Kind
from ingot.blocks import DiskDigest
from ingot.errors import BakeError
from ingot.progress import Progress
from ingot.spec import BakeSpec

STUBS = {"x86_64": "linuxx64.efi.stub", "arm64": "linuxaa64.efi.stub"}
# The boot image is made of what is below these.
_BOOT = ("/boot/vmlinuz-", "/usr/lib/modules/")


class DiskCopy:
    """Prepares ``target``.

    It is begun at once, on the guess that the recipe leaves the kernel alone, which it nearly always does.
    """

    def __init__(
        self, spec: BakeSpec, layer: LowerLayer, target: Path, progress: Progress, use: ExitStack
    ) -> None:
        self._spec, self._layer, self._target, self._progress, self._use = spec, layer, target, progress, use
        self._pool = ThreadPoolExecutor(1)
        self._guess: "Future[Tuple[str, LowerDisk]]" = self._pool.submit(self._begin)

    def close(self) -> None:
        """Wait for what was begun."""
        self._pool.shutdown(wait=True)

    def take(self, spec: DiskSpec, changes: Changes) -> LowerDisk:
        """Return the lower disk for ``spec`` and for what ``changes`` need, once it is copied.

        Raises BakeError.
        """
        more = _more(changes)
        key = disk_key(self._layer, spec, more.inodes, _boot(changes))
        # What went wrong with the guess goes wrong below as well, now that all is known that makes the
        # message right.
        if self._guess.exception() is None and self._guess.result()[0] == key:
            return self._guess.result()[1]
        self._target.unlink(missing_ok=True)
        return self._prepare(WantedDisk(spec, key, more))

    def update(self, spec: DiskSpec, lower: LowerDisk, changes: Changes) -> DiskDigest:
        """Write ``changes`` on the copy of ``lower``; return the digests of the disk. Raises BakeError."""
        index = self._layer.index
        with read_ext4(lower.disk) as reader:
            below = Lower(lower.layout, reader, index.numbers, lambda path: _entry(index, path))
            return update_disk(spec, below, WrittenDisk(lower.disk, lower.blocks), changes, self._target)

    def _begin(self) -> Tuple[str, LowerDisk]:
        spec = disk_spec(self._spec, self._layer, self._layer.root)
        more = More()
        key = disk_key(self._layer, spec, more.inodes, ())
        disk = self._prepare(WantedDisk(spec, key, more))
        # Last: as a rule the recipe's programs run by now. Sooner, it would keep the interpreter from
        # starting them.
        self._layer.index.prepare()
        return key, disk

    def _prepare(self, wanted: WantedDisk) -> LowerDisk:
        return copied_lower_disk(self._layer, wanted, self._target, self._progress, self._use)


def _entry(index: Mapping[str, Entry], path: str) -> Entry:
    return index.get(path) or Entry(path, Kind.DIRECTORY, 0o700)  # lost+found, which no tree has


def _more(changes: Changes) -> More:
    """Return the room that ``changes`` need; of inodes a power of two, so that few changes change it."""
    inodes = More().inodes
    while inodes < len(changes.entries):
        inodes *= 2
    return More(inodes, sum(-(-entry.size // 4096) * 4096 for entry in changes.entries))


def _boot(changes: Changes) -> List[Tuple[str, Optional[str]]]:
    """Return what ``changes`` do to kernel and modules."""
    found: List[Tuple[str, Optional[str]]] = [(p, None) for p in changes.gone if p.startswith(_BOOT)]
    return found + [(e.path, e.sha256 or e.link) for e in changes.entries if e.path.startswith(_BOOT)]


def disk_spec(spec: BakeSpec, layer: LowerLayer, root: Path) -> DiskSpec:
    """Return the disk to write for ``spec``, with the kernel in ``root``.

    Raises BakeError when the tree lacks something for it.

    Links are followed inside the root: what they name on this machine is no part of the image.
    """
    kernel = kernel_version(root)
    modules = in_root(root, f"/usr/lib/modules/{kernel}")
    if modules.is_symlink():
        raise BakeError(
            f"/usr/lib/modules/{kernel} is a link in the image", hint="the modules must be a directory there"
        )
    return DiskSpec(
        name=spec.name,
        size=spec.root_volume_size,
        epoch=spec.epoch,
        architecture=spec.architecture,
        kernel=in_root(root, f"/boot/vmlinuz-{kernel}", follow=True),
        modules=modules,
        stub=_tool(layer, f"usr/lib/systemd/boot/efi/{STUBS[spec.architecture]}", "systemd-boot-efi"),
        busybox=_tool(layer, "bin/busybox", "busybox-static"),
        command_line=spec.kernel_command_line,
        os_release=in_root(root, "/etc/os-release", follow=True).read_text(encoding="utf-8"),
        bios=spec.bios,
    )


def kernel_version(root: Path) -> str:
    """Return the version of the image's kernel. Raises BakeError when there is not exactly one."""
    found = sorted(
        file.name[len("vmlinuz-") :] for file in in_root(root, "/boot", follow=True).glob("vmlinuz-*")
    )
    if len(found) != 1:
        raise BakeError(f"the image has {len(found)} kernels in /boot instead of one: {', '.join(found)}")
    return found[0]


def _tool(layer: LowerLayer, path: str, package: str) -> Path:
    for candidate in (path, f"usr/{path}"):
        tool = in_root(layer.tools, f"/{candidate}", follow=True)
        if tool.is_file():
            return tool
    raise BakeError(
        f"/{path} is not among the bake's own tools", hint=f"the lock must hold {package} as a tool"
    )
