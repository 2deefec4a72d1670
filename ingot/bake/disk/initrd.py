"""The initial RAM disk: busybox, a short script and the few kernel modules that it takes
to mount the root disk.

A cpio archive in the "newc" format (kernel: Documentation/driver-api/early-userspace/buffer-format.rst), not
compressed: it is small, and a compressor's output would depend on its version.
"""

from __future__ import annotations

import gzip
import lzma
import zlib
from pathlib import Path
from typing import Dict, List, Sequence, Set

from ingot.bake.disk.identity import root_partition, root_partition_name
from ingot.bake.runtime.chroot import in_root
from ingot.errors import BakeError
from ingot.process import CommandError, require, run_binary

# NVMe is EC2's disk (Nitro), virtio QEMU's; ext4 asks for the crc32c algorithm by name, which modules.dep
# does not tell. By efivarfs the first program learns which disk was booted.
REQUIRED = ("nvme", "ext4")
# For EC2's types of before Nitro: the disks and networks of Xen.
XEN = ("xen_blkfront", "xen_netfront")
OPTIONAL = ("virtio_pci", "virtio_blk", "crc32c_generic", "crc32c_intel", "efivarfs")


class _CpioArchive:
    """Collects the members of a cpio archive; inode numbers count up, all times are ``epoch``."""

    def __init__(self, epoch: int) -> None:
        self._parts: List[bytes] = []
        self._count = 0
        self._epoch = epoch

    def add(self, name: str, mode: int, data: bytes = b"", device: "tuple[int, int]" = (0, 0)) -> None:
        raw = name.encode("utf-8") + b"\0"
        self._count += 1
        fields = (self._count, mode, 0, 0, 1, self._epoch, len(data), 0, 0, *device, len(raw), 0)
        head = b"070701" + b"".join(b"%08X" % (field & 0xFFFFFFFF) for field in fields) + raw
        self._parts += [head, bytes(-len(head) % 4), data, bytes(-len(data) % 4)]

    def close(self) -> bytes:
        self._count, self._epoch = -1, 0
        self.add("TRAILER!!!", 0)
        whole = b"".join(self._parts)
        return whole + bytes(-len(whole) % 512)


def build_initrd(name: str, epoch: int, modules: Path, busybox: bytes, *, xen: bool = False) -> bytes:
    """Return the archive for the recipe ``name``.

    ``modules`` is ``lib/modules/<version>`` with its ``modules.dep``; ``xen``: with the drivers XEN.
    """
    archive = _CpioArchive(epoch)
    for directory in ("bin", "dev", "modules", "proc", "root", "sys"):
        archive.add(directory, 0o040755)
    archive.add("dev/console", 0o020600, device=(5, 1))
    archive.add("bin/busybox", 0o100755, busybox)
    archive.add("init", 0o100755, _script(name).encode("utf-8"))
    order = []
    for path in module_files(modules, XEN if xen else ()):
        plain = path.name[: path.name.index(".ko") + 3]
        archive.add(f"modules/{plain}", 0o100644, _decompress(path))
        order.append(plain + "\n")
    archive.add("modules/order", 0o100644, "".join(order).encode("utf-8"))
    return archive.close()


def _script(name: str) -> str:
    text = Path(__file__).with_name("init.sh").read_text(encoding="utf-8")
    return text.replace("@PARTUUID@", str(root_partition(name))).replace(
        "@PARTNAME@", root_partition_name(name)
    )


def module_files(modules: Path, more: Sequence[str] = ()) -> List[Path]:
    """Return the files of the modules that the initrd loads, each after those that it needs; ``more`` are
    required as well.

    Raises BakeError when a required module is neither there nor built into the kernel.
    """
    try:
        needs = _dependencies(_inside(modules, "modules.dep").read_text(encoding="utf-8"))
        builtin = {
            _module_name(line)
            for line in _inside(modules, "modules.builtin").read_text(encoding="utf-8").split()
        }
    except OSError as error:
        raise BakeError(
            f"{error.filename} cannot be read: {error.strerror}", hint="is the kernel package installed?"
        ) from error
    by_name = {_module_name(path): path for path in needs}
    order: List[str] = []
    required = (*REQUIRED, *more)
    for name in (*required, *OPTIONAL):
        if name in by_name:
            _visit(by_name[name], needs, order, set())
        elif name in required and name not in builtin:
            raise BakeError(f"the kernel {modules.name} has no module {name}, which a clone needs to boot")
    return [_inside(modules, path) for path in order]


def _inside(modules: Path, path: str) -> Path:
    """Return where a file of the modules is: neither a name in modules.dep nor a link
    leads out of their directory.
    """
    return in_root(modules, path, follow=True)


def _dependencies(text: str) -> Dict[str, Sequence[str]]:
    lines = (line.partition(":") for line in text.splitlines() if line)
    return {path: rest.split() for path, _, rest in lines}


def _module_name(path: str) -> str:
    return path.rpartition("/")[2].partition(".ko")[0].replace("-", "_")


def _visit(path: str, needs: Dict[str, Sequence[str]], order: List[str], above: Set[str]) -> None:
    if path in order or path in above:
        return
    for other in needs.get(path, ()):
        _visit(other, needs, order, above | {path})
    order.append(path)


def _decompress(path: Path) -> bytes:
    data = path.read_bytes()
    try:
        if path.suffix == ".xz":
            return lzma.decompress(data)
        if path.suffix == ".gz":
            return gzip.decompress(data)
        if path.suffix == ".zst":
            # The standard library has zstd from Python 3.14 on only; what it decompresses to does not depend
            # on the version.
            zstd = require("zstd", needed_for="unpack kernel modules")
            return run_binary([zstd, "-dc"], input=data).stdout
    except (lzma.LZMAError, EOFError, zlib.error, gzip.BadGzipFile, CommandError) as error:
        raise BakeError(f"the kernel module {path} is damaged: {error}") from error
    return data
