import gzip
import io
import lzma
import struct
import time

import pytest

from ingot.bake.disk import fat, initrd, uki
from ingot.bake.disk.identity import root_partition, root_partition_name
from ingot.bake.disk.image import DiskLayout
from ingot.errors import BakeError
from ingot.process import require, run
from ingot.quantities import MIB
from tests.bake.disk.helpers import EPOCH, tiny_stub

SECTIONS = [
    (".osrel", b"ID=test\n"),
    (".cmdline", b"quiet\0"),
    (".initrd", b"i" * 10_000),
    (".linux", b"k" * 70_001),
]


@pytest.fixture
def modules(tmp_path):
    """A kernel's modules: nvme needs nvme-core, ext4 needs jbd2 and mbcache, virtio_blk is built in."""
    directory = tmp_path / "6.1.0-test"
    directory.mkdir()
    (directory / "modules.dep").write_text(
        "kernel/nvme.ko: kernel/nvme-core.ko kernel/t10-pi.ko\nkernel/nvme-core.ko:"
        " kernel/t10-pi.ko\nkernel/t10-pi.ko:\nkernel/ext4.ko.xz: kernel/mbcache.ko"
        " kernel/jbd2.ko\nkernel/mbcache.ko:\nkernel/jbd2.ko:\nkernel/unrelated.ko:\n"
    )
    (directory / "modules.builtin").write_text("kernel/drivers/block/virtio_blk.ko\n")
    (directory / "kernel").mkdir()
    for name in ("nvme", "nvme-core", "t10-pi", "mbcache", "jbd2"):
        (directory / f"kernel/{name}.ko").write_bytes(name.encode())
    (directory / "kernel/ext4.ko.xz").write_bytes(lzma.compress(b"ext4"))
    return directory


def members(archive):
    """Name, mode and content of each member of a cpio archive in the newc format."""
    stream = io.BytesIO(archive)
    while True:
        head = stream.read(110)
        assert head[:6] == b"070701"
        fields = [int(head[6 + 8 * n : 14 + 8 * n], 16) for n in range(13)]
        name = stream.read(fields[11])[:-1].decode()
        stream.read(-stream.tell() % 4)
        if name == "TRAILER!!!":
            return
        yield name, fields[1], stream.read(fields[6])
        stream.read(-stream.tell() % 4)


def test_the_boot_partition_is_sound_and_firmware_finds_its_file(tmp_path):
    content = bytes(range(256)) * 20_001
    size = fat.partition_size(len(content))
    image = DiskLayout(size + MIB)
    boot_file = fat.BootFile("BOOTX64.EFI", content)
    fat.write_esp(image, (0, size), boot_file, volume_id=0x1234ABCD, epoch=EPOCH)
    disk = tmp_path / "esp.raw"
    image.write(disk)
    with disk.open("r+b") as file:
        file.truncate(size)
    done = run(["fsck.vfat", "-vn", disk], check=False)
    assert done.returncode == 0, done.stdout
    assert "4 files" in done.stdout
    listing = run(["mdir", "-i", disk, "::/EFI/BOOT"]).stdout
    assert "1234-ABCD" in listing
    assert time.strftime("%Y-%m-%d  %-H:%M", time.gmtime(EPOCH)) in listing.replace("  ", "  ")
    run(["mcopy", "-i", disk, "::/EFI/BOOT/BOOTX64.EFI", tmp_path / "out"])
    assert (tmp_path / "out").read_bytes() == content


def test_the_boot_partition_grows_with_its_file():
    assert fat.partition_size(1) == 64 * MIB
    assert fat.partition_size(100 * MIB + 1) == 117 * MIB


def test_a_kernel_image_has_its_sections_in_order():
    image = uki.build_uki(tiny_stub(), SECTIONS)
    assert uki.read_sections(image)[1:] == SECTIONS


def test_sections_lie_apart_in_memory_and_the_image_covers_them():
    image = uki.build_uki(tiny_stub(), SECTIONS)
    optional = 0x40 + 24
    end = 0
    for number in range(5):
        size, address = struct.unpack_from("<II", image, optional + 0xF0 + 40 * number + 8)
        assert address % 0x1000 == 0
        assert address >= end
        end = address + size
    assert end <= struct.unpack_from("<I", image, optional + 56)[0] < end + 0x1000


def test_objdump_agrees(tmp_path):
    image = tmp_path / "uki.efi"
    image.write_bytes(uki.build_uki(tiny_stub(), SECTIONS))
    listing = run(["objdump", "-h", image]).stdout
    for name, content in SECTIONS:
        line = next(line for line in listing.splitlines() if f" {name} " in line)
        assert int(line.split()[2], 16) == len(content)


@pytest.mark.parametrize(
    ("stub", "message"), [(b"", "not a PE file"), (b"MZ" + bytes(200), "not a PE32"), (None, "no room")]
)
def test_a_stub_that_is_none(stub, message):
    sections = [(f".s{number}", b"x") for number in range(30)]
    with pytest.raises(BakeError, match=message):
        uki.build_uki(tiny_stub() if stub is None else stub, sections)


def test_the_initrd_holds_the_modules_in_the_order_of_their_needs(modules):
    archive = initrd.build_initrd("web", EPOCH, modules, b"busybox")
    found = {name: (mode, content) for name, mode, content in members(archive)}
    order = found["modules/order"][1].decode().split()
    assert sorted(order) == ["ext4.ko", "jbd2.ko", "mbcache.ko", "nvme-core.ko", "nvme.ko", "t10-pi.ko"]
    assert order.index("t10-pi.ko") < order.index("nvme-core.ko") < order.index("nvme.ko")
    assert max(order.index("jbd2.ko"), order.index("mbcache.ko")) < order.index("ext4.ko")
    assert found["modules/ext4.ko"][1] == b"ext4"
    assert found["bin/busybox"] == (0o100755, b"busybox")
    assert found["dev/console"][0] == 0o020600
    assert len(archive) % 512 == 0


def test_the_first_program_looks_for_our_partition(modules, tmp_path):
    found = {name: content for name, _, content in members(initrd.build_initrd("web", EPOCH, modules, b"b"))}
    script = found["init"].decode()
    assert f"PARTUUID={root_partition('web')}" in script
    assert f"PARTNAME={root_partition_name('web')}" in script
    assert "@" not in script.replace("@PARTUUID@", "")
    (tmp_path / "init").write_text(script)
    run(["sh", "-n", tmp_path / "init"])


def test_kernels_without_what_it_takes(modules, tmp_path):
    (modules / "modules.dep").write_text("kernel/ext4.ko.xz:\n")
    with pytest.raises(BakeError, match=r"6\.1\.0-test has no module nvme"):
        initrd.build_initrd("web", EPOCH, modules, b"b")
    with pytest.raises(BakeError, match="cannot be read"):
        initrd.build_initrd("web", EPOCH, tmp_path / "none", b"b")


@pytest.mark.parametrize("suffix", ["xz", "gz", "zst"])
def test_compressed_modules_are_unpacked(modules, suffix):
    (modules / "kernel/nvme.ko").unlink()
    packed = modules / f"kernel/nvme.ko.{suffix}"
    if suffix == "zst":
        plain = modules / "plain"
        plain.write_bytes(b"module" * 1000)
        run([require("zstd", needed_for="test"), "-q", plain, "-o", packed])
    else:
        packed.write_bytes({"xz": lzma, "gz": gzip}[suffix].compress(b"module" * 1000))
    dep = (modules / "modules.dep").read_text()
    (modules / "modules.dep").write_text(dep.replace("kernel/nvme.ko:", f"kernel/nvme.ko.{suffix}:"))
    found = {name: content for name, _, content in members(initrd.build_initrd("web", EPOCH, modules, b"b"))}
    assert found["modules/nvme.ko"] == b"module" * 1000
    packed.write_bytes(packed.read_bytes()[:20])
    with pytest.raises(BakeError, match=rf"nvme\.ko\.{suffix} is damaged"):
        initrd.build_initrd("web", EPOCH, modules, b"b")
