"""The command line of a machine: what EC2's Nitro would show to the guest, in QEMU's words (qemu(1))."""

from __future__ import annotations

import os
import shlex
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

from ingot.errors import MissingToolError
from ingot.machines import relay
from ingot.process import require

# 160.0.0.0/4 holds both 169.254.169.254 and 172.16.0.0/12. QEMU's user network takes a prefix as short as
# this one, so that a guest has its true private address and still reaches its metadata on the link. Tried
# with QEMU 7.2.
NETWORK = "160.0.0.0/4"
GATEWAY = "169.254.169.253"
RESOLVER = "169.254.169.252"
METADATA_SOCKET = "metadata.sock"  # in the machine's directory, which is QEMU's working directory
CONSOLE = "console.log"
# In a machine that has one: a second serial port, /dev/ttyS1 in the guest, as a socket. It takes one client
# at a time; what the guest says while there is none is lost.
CHANNEL = "channel.sock"
# What QEMU can emulate, less what costs an emulated guest more than it gives: features that make each access
# to memory dearer (page walks), wide registers (glibc and the kernel take them for copies and digests, and
# each is many operations here), nested virtualization, and copies by repeated instructions of one byte
# (erms), which are emulated byte by byte. What is left is x86-64-v2, which Debian, Ubuntu and Amazon Linux
# 2023 ask for. The family is one that does not speculate: Linux leaves out its mitigations
# (cpu_vuln_whitelist in arch/x86/kernel/cpu/common.c), and copies pages without repeated instructions. Tried
# with QEMU 7.2 and Linux 6.1: a boot with its inventory takes 38 instead of 59 seconds of the processor.
EMULATED_CPU = (
    "max,vendor=GenuineIntel,family=5,model=4"
    ",-la57,-smap,-smep,-pku,-umip,-svm,-xsave,-avx,-avx2,-fma,-f16c,-aes,-pclmulqdq,-erms"
)
# Where a machine can never have a second processor, QEMU's emulation leaves out the memory barriers of the
# guest (CF_PARALLEL in accel/tcg). Its NVMe device looks at the guest's doorbells from a thread of its own,
# though: now and then a request was never seen, and the guest waited for ever.
FEWEST_POSSIBLE_CPUS = 2
DISK = "disk.qcow2"
VARIABLES = "vars.fd"


@dataclass(frozen=True)
class Platform:
    """How QEMU runs machines of one architecture.

    ``firmware``: code and template of variables, in the order in which they are looked for. ``board`` is the
    machine type, ``emulated_cpu`` the processor where the host has another, or no KVM. ``serial``: the words
    that make a character device the next port of those that Linux calls ttyS0, as on EC2, and ttyS1.
    """

    program: str
    firmware: tuple[tuple[str, str], ...]
    firmware_name: str
    firmware_package: str
    board: str
    emulated_cpu: str
    serial: tuple[str, ...]

    def ports(self, *devices: str) -> list[str]:
        """Return the words that make character devices the serial ports, in this order."""
        return [*self.other_serial, *(word.format(device) for device in devices for word in self.serial)]

    @property
    def other_serial(self) -> tuple[str, ...]:
        """What keeps the board from having serial ports of its own."""
        return ("-serial", "none") if "-device" in self.serial else ()


PLATFORMS = {
    "x86_64": Platform(
        "qemu-system-x86_64",
        (
            ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
            ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
        ),
        "OVMF",
        "ovmf",
        "q35,hpet=off",
        EMULATED_CPU,
        ("-serial", "chardev:{}"),
    ),
    # The board's own serial port is a PL011, ttyAMA0; Graviton's is a 16550 like this one. Of the processors
    # that QEMU knows one as Graviton2 has, without pointer authentication, which is dear to emulate.
    "arm64": Platform(
        "qemu-system-aarch64",
        (("/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"),),
        "AAVMF",
        "qemu-efi-aarch64",
        "virt,gic-version=3",
        "neoverse-n1",
        ("-device", "pci-serial,chardev={}"),
    ),
}
# What Linux calls the processors of this machine, as recipes do.
HOST = {"aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


@dataclass(frozen=True)
class DataDisk:
    """A disk beside the root: what guests know it by (``sdf``), its volume, its size in bytes.

    ``base`` is what is on it at first; None: zeros. ``ephemeral``: it is blank after each power-on, as a disk
    of an instance store.
    """

    name: str
    volume_id: str
    size: int
    base: Path | None = None
    ephemeral: bool = False

    @property
    def file(self) -> str:
        """Its file in the machine's directory."""
        return f"{self.volume_id}.qcow2"


@dataclass(frozen=True)
class MachineSpec:
    """What a machine is made of.

    ``private_ip`` is in 160.0.0.0/4. ``disk_size`` is in bytes and at least the base's. ``outbound``: whether
    the guest may open connections beyond its metadata service. ``volume_id`` becomes the NVMe serial number,
    as on EC2. ``nvme`` False: the root is a paravirtual disk, as Xen's are on EC2's types of before Nitro.
    ``channel``: whether it has the port CHANNEL.
    """

    instance_id: str
    memory_mib: int
    cpus: int
    private_ip: str
    mac: str
    base: Path
    disk_size: int
    volume_id: str
    outbound: bool = False
    uefi: bool = True
    nvme: bool = True
    architecture: str = "x86_64"
    data: tuple[DataDisk, ...] = ()
    channel: bool = False

    @property
    def platform(self) -> Platform:
        """How QEMU runs it."""
        return PLATFORMS[self.architecture]


def firmware(architecture: str = "x86_64") -> tuple[Path, Path]:
    """Return the UEFI firmware's code and its template of variables; raises MissingToolError."""
    platform = PLATFORMS[architecture]
    for code, variables in platform.firmware:
        if Path(code).exists() and Path(variables).exists():
            return Path(code), Path(variables)
    raise MissingToolError(
        platform.firmware_name, package=platform.firmware_package, needed_for="boot machines by UEFI"
    )


def require_tools(architecture: str = "x86_64") -> None:
    """Raise MissingToolError when this machine lacks what runs machines of an architecture: said before
    anything is started or baked.
    """
    for tool in (PLATFORMS[architecture].program, "qemu-img", "setpriv"):
        require(tool, needed_for="run machines")
    firmware(architecture)


def command(spec: MachineSpec, *, accelerator: str, monitor: int) -> list[str]:
    """Return the command that runs the machine with its own directory as working directory.

    ``accelerator``: ``kvm`` or ``tcg``. ``monitor``: the descriptor of a connected socket that QEMU inherits.
    The guest stands still (``-S``) until the monitor says ``cont``: a monitor that is not listening yet would
    not hear how a short life ended. setpriv(1) asks the kernel to kill QEMU when the thread that started it
    ends: a daemon that is killed leaves no machine.
    """
    platform = spec.platform
    natively = accelerator == "kvm" and spec.architecture == HOST
    accel, cpu = ("kvm", "max") if natively else ("tcg,thread=multi", platform.emulated_cpu)
    return [
        require("setpriv", needed_for="tie machines to the local cloud"), "--pdeathsig", "KILL", "--",
        require(platform.program, needed_for="run machines"),
        "-name", spec.instance_id, "-S",
        "-nodefaults", "-no-user-config", "-display", "none",
        "-M", platform.board, "-accel", accel, "-cpu", cpu,
        "-smp", f"{spec.cpus},maxcpus={max(spec.cpus, FEWEST_POSSIBLE_CPUS)}", "-m", str(spec.memory_mib),
        "-smbios", f"type=1,manufacturer=Amazon EC2,product=ingot,uuid={system_uuid(spec.instance_id)}",
        *_disks(spec), *_network(spec),
        "-chardev", f"file,id=console,path={CONSOLE},append=on", *_channel(spec),
        *platform.ports("console", *(["channel"] if spec.channel else [])),
        "-device", "virtio-rng-pci",
        "-chardev", f"socket,id=monitor,fd={monitor}", "-mon", "chardev=monitor,mode=control",
    ]  # fmt: skip


def again(spec: MachineSpec, directory: Path) -> str:
    """Return the shell command that boots a machine's disk by hand: alone, with its console as terminal.

    It has no metadata service: the image waits for it for a moment and boots on.
    """
    platform = spec.platform
    code = _escaped(str(firmware(spec.architecture)[0]))
    data = [word for disk in spec.data for word in _data_disk(disk, str(directory / disk.file))]
    words = [
        platform.program, "-M", platform.board, "-cpu", platform.emulated_cpu, "-m", str(spec.memory_mib),
        "-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={code}",
        "-drive", f"if=pflash,format=raw,unit=1,file={_escaped(str(directory / VARIABLES))}",
        "-drive", f"if=none,id=root,format=qcow2,file={_escaped(str(directory / DISK))}",
        *data, "-device", "nvme,serial=root,drive=root,bootindex=0",
        "-display", "none", "-chardev", "stdio,id=console,mux=on,signal=off", *platform.ports("console"),
    ]  # fmt: skip
    return shlex.join(words)


def _channel(spec: MachineSpec) -> list[str]:
    return ["-chardev", f"socket,id=channel,path={CHANNEL},server=on,wait=off"] if spec.channel else []


def _disks(spec: MachineSpec) -> list[str]:
    serial, root = _serial(spec.volume_id), "drive=root,bootindex=0"
    flash = []
    if spec.uefi:
        code = _escaped(str(firmware(spec.architecture)[0]))
        flash += ["-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={code}"]
        flash += ["-drive", f"if=pflash,format=raw,unit=1,file={VARIABLES}"]
    return [
        *flash,
        # Before the root, so that Linux numbers the disks as nobody expects: EC2 promises no order.
        *(word for disk in spec.data for word in _data_disk(disk, disk.file)),
        # The overlay dies with the instance: nothing in it has to survive a crash of the host.
        "-drive", f"if=none,id=root,format=qcow2,cache=unsafe,discard=unmap,file={DISK}",
        "-device", f"nvme,serial={serial},{root}" if spec.nvme else f"virtio-blk-pci,{root}",
    ]  # fmt: skip


def _serial(volume_id: str) -> str:
    return volume_id.replace("-", "")  # vol0123…, as EC2's NVMe volumes call themselves


def _data_disk(disk: DataDisk, file: str) -> list[str]:
    """Return the words for a data disk.

    EBS tells its device name in the vendor's part of the NVMe identification, which QEMU leaves empty: the
    firmware tells it, by serial number, in SMBIOS's OEM strings.
    """
    serial = _serial(disk.volume_id)
    identity = f"data-{serial}"
    return [
        "-drive", f"if=none,id={identity},format=qcow2,cache=unsafe,discard=unmap,file={_escaped(file)}",
        "-device", f"nvme,serial={serial},drive={identity}",
        "-smbios", f"type=11,value=ingot-disk:{serial}={disk.name}",
    ]  # fmt: skip


def _network(spec: MachineSpec) -> list[str]:
    # A virtual environment's interpreter is a link; -I -S: nothing is read but the relay itself.
    handover = shlex.join([sys.executable, "-I", "-S", str(Path(relay.__file__)), METADATA_SOCKET])
    network = [
        "user",
        "id=net0",
        f"net={NETWORK}",
        f"host={GATEWAY}",
        f"dns={RESOLVER}",
        f"dhcpstart={spec.private_ip}",
        "ipv6=off",
        f"restrict={'off' if spec.outbound else 'on'}",
        _escaped(f"guestfwd=tcp:169.254.169.254:80-cmd:{handover}"),
    ]
    return ["-netdev", ",".join(network), "-device", f"virtio-net-pci,netdev=net0,mac={spec.mac},romfile="]


def system_uuid(instance_id: str) -> str:
    """Return a UUID that begins with ec2, by which guests know the cloud (EC2 User Guide,
    "Detect EC2 instances").
    """
    identifier = uuid.uuid5(uuid.NAMESPACE_URL, instance_id)
    return "ec2" + str(identifier)[3:]


def _escaped(text: str) -> str:
    return text.replace(",", ",,")
