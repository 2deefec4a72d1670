"""Booting by BIOS: what the loader is, and that its table leads to Linux and the RAM disk on the disk."""

import platform
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from ingot.bake.disk import DiskSpec, bios, gpt, initrd, uki, write_disk
from ingot.bake.disk.bios.loader import LOADER, RUNS
from ingot.bake.disk.identity import identifier
from ingot.bake.disk.image import DiskLayout
from ingot.bake.disk.spec import SECTOR
from ingot.errors import BakeError
from ingot.process import run
from ingot.quantities import MIB
from tests.bake.disk.helpers import EPOCH, data_file, plain, round_trip, tiny_stub, tree

SOURCE = Path(bios.__file__).with_name("loader.S")
SETUP_SECTORS = 3


def kernel(*, version=0x20F, needed=48 * MIB):
    """A bzImage by its header alone, then other bytes in each sector."""
    setup = bytearray((SETUP_SECTORS + 1) * SECTOR)
    setup[0x1F1], setup[0x211] = SETUP_SECTORS, 0x01
    setup[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", setup, 0x206, version)
    struct.pack_into("<QI", setup, 0x258, 16 * MIB, needed)
    return bytes(setup) + bytes(range(256)) * 1001


@pytest.fixture
def spec(tmp_path):
    modules = tmp_path / "6.1.0-test"
    modules.mkdir()
    for name in ("xen-blkfront", "xen-netfront"):
        (modules / f"{name}.ko").write_bytes(name.encode())
    (modules / "modules.dep").write_text("xen-blkfront.ko:\nxen-netfront.ko:\n")
    (modules / "modules.builtin").write_text("kernel/nvme.ko kernel/ext4.ko")
    for name, content in (("kernel", kernel()), ("stub", tiny_stub()), ("busybox", b"busybox")):
        (tmp_path / name).write_bytes(content)
    return DiskSpec(
        name="web",
        size=160 * MIB,
        epoch=EPOCH,
        architecture="x86_64",
        kernel=tmp_path / "kernel",
        modules=modules,
        stub=tmp_path / "stub",
        busybox=tmp_path / "busybox",
        command_line="console=ttyS0",
        os_release="ID=test\n",
        bios=True,
    )


ENTRIES = tree(data_file("/etc/x", b"content"))


@pytest.mark.skipif(platform.machine() != "x86_64", reason="binutils assembles for its own kind of machine")
def test_the_loader_is_what_its_source_says(tmp_path):
    run(["as", "--32", "-o", tmp_path / "loader.o", SOURCE])
    flat = ["-m", "elf_i386", "-Ttext=0x7c00", "--oformat", "binary"]
    run(["ld", *flat, "-o", tmp_path / "loader", tmp_path / "loader.o"])
    assert (tmp_path / "loader").read_bytes() == LOADER + bytes(RUNS * 12)


def test_the_table_leads_to_linux_and_the_ram_disk(spec, tmp_path):
    write_disk(spec, ENTRIES, tmp_path / "disk.raw")
    disk = (tmp_path / "disk.raw").read_bytes()
    assert disk[: len(LOADER)] == LOADER
    runs = [struct.unpack_from("<III", disk, len(LOADER) + 12 * number) for number in range(RUNS)]
    read = {memory: disk[first * SECTOR : (first + count) * SECTOR] for first, count, memory in runs}
    assert sorted(read) == [0x10000, 0x100000, 128 * MIB]
    # Linux's real-mode code, told where the rest is; then the command line.
    area = read[0x10000]
    setup = kernel()[: (SETUP_SECTORS + 1) * SECTOR]
    ram_disk_size = struct.unpack_from("<I", area, 0x21C)[0]
    fields = [
        struct.unpack_from(kind, area, at)[0] for kind, at in (("<B", 0x210), ("<B", 0x211), ("<I", 0x218))
    ]
    assert fields == [0xFF, 0x81, 128 * MIB]
    assert struct.unpack_from("<I", area, 0x228)[0] == 0x10000 + 0xE000
    changed = {n for n, (old, new) in enumerate(zip(setup, area, strict=False)) if old != new}
    assert changed <= {*range(0x1FA, 0x1FC), *range(0x210, 0x22C)}
    assert area[0xE000:].rstrip(b"\0").endswith(b" console=ttyS0")
    # The rest of Linux, and the RAM disk, are those of the unified kernel image.
    run(["mcopy", "-i", f"{tmp_path / 'disk.raw'}@@{MIB}", "::/EFI/BOOT/BOOTX64.EFI", tmp_path / "uki"])
    sections = dict(uki.read_sections((tmp_path / "uki").read_bytes()))
    assert sections[".linux"] == kernel()
    assert read[0x100000][: len(kernel()) - len(setup)] == kernel()[len(setup) :]
    assert read[128 * MIB][:ram_disk_size] == sections[".initrd"]
    assert len(sections[".initrd"]) == ram_disk_size
    assert b"modules/xen-blkfront.ko" in sections[".initrd"]
    assert b"modules/xen-netfront.ko" in sections[".initrd"]


def partitions(disk):
    with disk.open("rb") as file:
        return gpt.read_table(file.read(17 * 1024))


def test_the_disk_is_the_one_that_boots_by_uefi_with_a_partition_more(spec, tmp_path):
    write_disk(spec, ENTRIES, tmp_path / "both.raw")
    write_disk(replace(spec, bios=False), ENTRIES, tmp_path / "uefi.raw")
    both, uefi = (partitions(tmp_path / name) for name in ("both.raw", "uefi.raw"))
    assert both[:2] == uefi
    assert [(part.name, part.start, part.start + part.size) for part in both[2:]] == [
        ("ingot-bios", 34 * SECTOR, MIB)
    ]
    assert (tmp_path / "uefi.raw").read_bytes()[:440] == bytes(440)
    assert "No errors detected" in run(["sfdisk", "--verify", tmp_path / "both.raw"], check=False).stdout
    assert round_trip(tmp_path / "both.raw") == {entry.path: plain(entry) for entry in ENTRIES}


def test_the_same_arguments_give_the_same_disk(spec, tmp_path):
    first = write_disk(spec, ENTRIES, tmp_path / "a.raw")
    assert write_disk(spec, ENTRIES, tmp_path / "b.raw") == first
    assert (tmp_path / "a.raw").read_bytes() == (tmp_path / "b.raw").read_bytes()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"kernel" * 1000, "no bzImage"),
        (kernel(version=0x209), "no bzImage"),
        (kernel(needed=200 * MIB), "needs the memory up to 0xd800000"),
    ],
)
def test_kernels_that_a_bios_cannot_start(spec, tmp_path, content, message):
    spec.kernel.write_bytes(content)
    with pytest.raises(BakeError, match=message):
        write_disk(spec, ENTRIES, tmp_path / "disk.raw")
    assert not (tmp_path / "disk.raw").exists()


def test_a_kernel_without_xens_drivers_will_not_do(spec, tmp_path):
    (spec.modules / "modules.dep").write_text("")
    with pytest.raises(BakeError, match=r"6\.1\.0-test has no module xen_blkfront"):
        write_disk(spec, ENTRIES, tmp_path / "disk.raw")
    assert initrd.module_files(spec.modules) == []


def test_there_is_no_bios_for_arm64(spec):
    with pytest.raises(BakeError, match="arm64 boots by UEFI alone"):
        replace(spec, architecture="arm64")


def test_the_first_sector_has_room_for_so_much():
    with pytest.raises(BakeError, match="boot code of 441 bytes"):
        gpt.write_table(DiskLayout(MIB), identifier("web", "disk"), [], bytes(441))
