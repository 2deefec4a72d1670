"""The program that finds, formats, mounts and grows a clone's disks: on loop devices, in a /sys of ours."""

import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ingot.bake.image.machine import SOURCES

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs loop devices and mounts")

MIB = 1 << 20
EBS, STORE = "Amazon Elastic Block Store", "Amazon EC2 NVMe Instance Storage"
# The program beside us: what it says comes out, and places are ours. `after` runs in its mount namespace.
RUN = r"""
use Ingot;
our ($SYS, $DEV, $LIMIT, $SWAP_FILE) = @ENV{qw(SYS DEV LIMIT SWAP_FILE)};
$Ingot::LIBRARY = $ENV{WORK};
no warnings 'redefine';
*Ingot::say = sub { print "CONSOLE: $_[0]\n" };
*Ingot::scratch = sub { mkdir "$ENV{WORK}/own", 0755; "$ENV{WORK}/own/$_[0]" };
do $ENV{PROGRAM}; die $@ if $@;
"""


@dataclass
class Disks:
    """Disks of a clone below ``work``, each a sparse file behind a loop device."""

    work: Path
    loops: dict[str, str] = field(default_factory=dict)

    def add(
        self, name: str, *, model: str = "QEMU NVMe Ctrl", serial: str = "", size: int = 64 * MIB
    ) -> Path:
        """Add a disk as Linux calls it; return the file that it is."""
        file = self.work / f"{name}.raw"
        with file.open("xb") as new:
            new.truncate(64 * MIB)
        losetup = ["losetup", "--find", "--show", file]
        loop = subprocess.run(losetup, check=True, capture_output=True, text=True).stdout.strip()
        self.loops[name] = loop
        (self.work / "dev" / name).symlink_to(loop)
        device = self.work / f"sys/class/block/{name}/device"
        device.mkdir(parents=True)
        (device / "model").write_text(f"{model:<40}\n")
        (device / "serial").write_text(f"{serial:<20}\n")
        return file

    def firmware(self, **names: str) -> None:
        """Let the firmware name disks by serial number."""
        tables = self.work / "sys/firmware/dmi/tables"
        tables.mkdir(parents=True, exist_ok=True)
        strings = b"".join(f"ingot-disk:{serial}={name}\0".encode() for serial, name in names.items())
        (tables / "DMI").write_bytes(b"\x0b\x05\x00\x0b\x01" + strings + b"\0")

    def declare(self, *lines: str) -> None:
        """Write what the image declares."""
        (self.work / "storage.list").write_text("".join(line + "\n" for line in lines))

    def run(self, *words: str, after: str = "", limit: int = 0) -> Any:
        """Run the program, then ``after``, a shell command; return the process that was."""
        environment = {
            "WORK": self.work, "SYS": self.work / "sys", "DEV": self.work / "dev", "LIMIT": limit,
            "SWAP_FILE": self.work / "swap", "PROGRAM": SOURCES / "storage.pl",
            "PATH": f"{self.work}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        }  # fmt: skip
        script = f'perl -I"$0" -e "$1" -- "$2" "$3"; status=$?; {after or ":"}; exit $status'
        verb, name = (*words, "")[:2]
        return subprocess.run(
            ["unshare", "--mount", "sh", "-c", script, SOURCES, RUN, verb, name],
            env={name: str(value) for name, value in environment.items()},
            check=False, capture_output=True, text=True, timeout=20,
        )  # fmt: skip


def tool(disks, name, text):
    path = disks.work / "bin" / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def disks(tmp_path):
    for name in ("dev", "sys/class/block", "bin"):
        (tmp_path / name).mkdir(parents=True)
    found = Disks(tmp_path)
    tool(found, "udevadm", "exit 0")
    yield found
    for loop in found.loops.values():
        subprocess.run(["losetup", "--detach", loop], check=True)


@pytest.fixture
def data(disks):
    """A blank volume data at /dev/sdf, met by Linux after another one."""
    disks.add("nvme0n1", serial="vol0a")
    disks.file = disks.add("nvme1n1", serial="vol0b")
    disks.firmware(vol0a="sdg", vol0b="sdf")
    disks.place = disks.work / "mnt"
    disks.place.mkdir(mode=0o711)
    disks.declare(f"volume\tdata\t/dev/sdf\t{disks.place}\text4\t\t\t")
    return disks


def test_a_blank_volume_is_formatted_once_and_mounted_again(data):
    first = data.run("volume", "data", after=f"echo kept >{data.place}/file; stat -c %a {data.place}")
    assert (first.returncode, first.stderr) == (0, "")
    assert "formatted" in first.stdout
    assert first.stdout.splitlines()[-1] == "711"  # as the directory in the image
    again = data.run("volume", "data", after=f"cat {data.place}/file; grep {data.place} /proc/mounts")
    assert again.returncode == 0
    assert "formatted" not in again.stdout
    assert "\nkept\n" in again.stdout
    assert "nosuid,nodev" in again.stdout


def test_the_root_of_a_new_volume_is_whose_the_recipe_says(data):
    data.declare(f"volume\tdata\t/dev/sdf\t{data.place}\text4\twww-data\tdaemon\t0750")
    run = data.run("volume", "data", after=f"stat -c '%U %G %a' {data.place}")
    assert run.stdout.splitlines()[-1] == "www-data daemon 750"
    left = data.run("volume", "data", after=f"touch {data.place}/x; chown root {data.place}")
    assert left.returncode == 0
    # One that is in use is its service's.
    assert data.run("volume", "data", after=f"stat -c %U {data.place}").stdout.splitlines()[-1] == "root"


@pytest.mark.parametrize("offset", [0, 3 * MIB + 17, 64 * MIB - 1])
def test_what_holds_anything_is_never_formatted(data, offset):
    with data.file.open("r+b") as disk:
        disk.seek(offset)
        disk.write(b"x")
    before = data.file.read_bytes()
    run = data.run("volume", "data")
    assert run.returncode == 1
    assert "CONSOLE: ingot: the volume data is not mounted at" in run.stdout
    assert "it holds data that is no file system" in run.stdout
    assert data.file.read_bytes() == before


def test_another_file_system_and_a_partition_table_are_left_alone(data):
    subprocess.run(["mkswap", data.file], check=True, capture_output=True)
    before = data.file.read_bytes()
    assert "it holds swap, and the recipe says ext4" in data.run("volume", "data").stdout
    assert data.file.read_bytes() == before
    subprocess.run(["sfdisk", "--quiet", "--wipe=always", data.file], check=True, input=b"label: gpt\n,\n")
    assert "it holds a partition table (gpt)" in data.run("volume", "data").stdout


def test_the_volume_of_another_name_is_left_alone(data):
    assert data.run("volume", "data").returncode == 0
    data.declare(
        f"volume\tlogs\t/dev/sdf\t{data.place}\text4\t\t\t",
        "volume\tdata\t/dev/sdg\t/nowhere\text4\t\t\t",
    )
    assert "it is the volume data" in data.run("volume", "logs").stdout


def test_a_volume_that_does_not_come_is_said_once(data):
    data.firmware(vol0a="sdg")
    first, second = data.run("volume", "data"), data.run("volume", "data")
    assert (first.returncode, second.returncode) == (1, 1)
    assert "no disk /dev/sdf came in 0 s; there are nvme0n1 (sdg), nvme1n1" in first.stdout
    assert "CONSOLE" not in second.stdout
    assert "no disk /dev/sdf came" in second.stderr  # the journal has it each time


def test_a_damaged_file_system_is_said(data):
    assert data.run("volume", "data").returncode == 0
    with data.file.open("r+b") as disk:
        disk.seek(2048)  # the group descriptors, and what they lead to
        disk.write(os.urandom(MIB))
    run = data.run("volume", "data")
    assert run.returncode == 1
    assert "its file system is damaged" in run.stdout


def may_grow():
    """Whether we may grow a file system that is mounted: CAP_SYS_RESOURCE is capability 24."""
    effective = re.search(r"^CapEff:\s*(\w+)", Path("/proc/self/status").read_text(), re.MULTILINE)
    return effective is not None and bool(int(effective[1], 16) >> 24 & 1)


def test_a_volume_that_cannot_be_grown_is_mounted_as_it_is(data):
    tool(data, "resize2fs", "echo it is so >&2; exit 1")
    run = data.run("volume", "data", after=f"grep -c {data.place} /proc/mounts")
    assert run.returncode == 0
    assert "CONSOLE: ingot: the volume data was not grown: `resize2fs" in run.stdout
    assert run.stdout.splitlines()[-1] == "1"


@pytest.mark.skipif(not may_grow(), reason="needs CAP_SYS_RESOURCE")
def test_an_enlarged_volume_is_grown_at_boot_and_while_it_is_mounted(data):
    size = f"stat -f -c '%b %S' {data.place}"
    blocks, unit = data.run("volume", "data", after=size).stdout.splitlines()[-1].split()
    os.truncate(data.file, 128 * MIB)
    subprocess.run(["losetup", "--set-capacity", data.loops["nvme1n1"]], check=True)
    after, _ = data.run("volume", "data", after=size).stdout.splitlines()[-1].split()
    assert (int(after) - int(blocks)) * int(unit) > 60 * MIB
    enlarge = f"truncate -s 192M {data.file}; losetup --set-capacity {data.loops['nvme1n1']}"
    grown = data.run("volume", "data", after=f'{enlarge}; perl -I"$0" -e "$1" -- grow; {size}')
    assert (int(grown.stdout.splitlines()[-1].split()[0]) - int(after)) * int(unit) > 60 * MIB


def test_without_an_instance_store_scratch_is_on_the_root_volume(disks):
    place = disks.work / "scratch"
    disks.declare(f"scratch\tscratch\t\t{place}\text4\t\t\t")
    run = disks.run("scratch")
    assert run.returncode == 0
    assert "this instance has no instance-store disk" in run.stdout


def test_an_instance_store_is_scratch_whatever_was_on_it(disks):
    place = disks.work / "scratch"
    disks.add("nvme0n1", model=EBS)
    file = disks.add("nvme1n1", model=STORE)
    file.write_bytes(os.urandom(MIB) + bytes(63 * MIB))
    disks.declare(f"scratch\tscratch\t\t{place}\text4\t\t\t1777")
    run = disks.run("scratch", after=f"touch {place}/x; stat -c %a {place}")
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.splitlines()[-1] == "1777"
    assert disks.run("scratch", after=f"ls {place}").stdout.splitlines()[-1] == "x"  # a reboot keeps it


def test_swap_is_a_file_of_the_size_that_the_recipe_says(disks):
    tool(disks, "swapon", f"echo $* >>{disks.work}/on")
    disks.declare(f"swap\t{8 * MIB}")
    assert disks.run("swap").returncode == 0
    swap = disks.work / "swap"
    assert (swap.stat().st_size, swap.stat().st_mode & 0o777) == (8 * MIB, 0o600)
    assert disks.work.joinpath("own").stat().st_mode & 0o777 == 0o755  # what others look into
    disks.declare(f"swap\t{16 * MIB}")
    assert disks.run("swap").returncode == 0
    assert swap.stat().st_size == 16 * MIB
    assert (disks.work / "on").read_text() == f"-- {swap}\n" * 2


def test_a_root_volume_without_room_gets_no_half_of_a_swap_file(disks):
    tool(disks, "mkswap", "echo no >&2; exit 1")
    disks.declare(f"swap\t{8 * MIB}")
    run = disks.run("swap")
    assert run.returncode == 1
    assert "CONSOLE: ingot: there is no swap: `mkswap" in run.stdout
    assert not (disks.work / "swap").exists()


def test_swap_on_the_instance_store_takes_all_its_disks(disks):
    tool(disks, "swapon", f"echo $* >>{disks.work}/on")
    for number in (1, 2):
        disks.add(f"nvme{number}n1", model=STORE)
    disks.declare("instance-swap")
    assert disks.run("swap").returncode == 0
    expected = [f"--priority 10 -- {disks.work}/dev/nvme{number}n1" for number in (1, 2)]
    assert (disks.work / "on").read_text().splitlines() == expected


@pytest.mark.parametrize(
    ("name", "plain"), [("sdf", "sdf"), ("/dev/sdf", "sdf"), ("xvdf", "sdf"), ("/dev/xvdba", "sdba")]
)
def test_ebs_says_the_device_name_in_its_identification(disks, name, plain):
    """In the vendor's part, 32 bytes from 3072 on, filled with blanks: as ebsnvme-id reads it."""
    disks.declare()
    (disks.work / "data").write_bytes(bytes(3072) + name.encode().ljust(32) + bytes(4096 - 3104))
    tell = 'print plain_name(name_in_identification(Ingot::read_file("$ENV{WORK}/data")))'
    run = disks.run("grow", after=f"""perl -I"$0" -e "$1;"'{tell}' -- grow""")
    assert run.stdout == plain
