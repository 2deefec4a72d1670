"""A small disk that is clean, on which each test plants what it is about."""

import hashlib
import struct

from ingot.bake.hygiene import Declared, examine
from ingot.bake.tree.tree import Entry, Kind, Tree, sort_entries
from ingot.spec import DropSpec
from tests.bake.disk.helpers import EPOCH, data_file, make_disk, tree

DECLARED = Declared(drop=DropSpec(docs=True, man=True, locales=True))
TOOL = b"\x7fELF\0 a program"
# Put together here, so that no file of the repository looks as if it held a secret.
ARMOUR = "PRIVATE" + " KEY-----"
KEY = f"-----BEGIN RSA {ARMOUR}\n{'MIIEpAIBAAKCAQEA' * 4}\n-----END RSA {ARMOUR}\n"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\n" + "MIIDdzCCAl+gAwIB" * 4 + "\n-----END CERTIFICATE-----\n"
# Capabilities as setcap(8) writes them: VFS_CAP_REVISION_2 with CAP_NET_RAW (linux/capability.h).
CAPABILITY = (("security.capability", struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)),)


def text(path, content="", **fields):
    return data_file(path, content.encode() if isinstance(content, str) else content, **fields)


def link(path, target):
    return Entry(path, Kind.SYMLINK, 0o777, mtime=EPOCH, size=len(target), link=target)


def service(name, content):
    """A unit and the link that enables it."""
    return (
        text(f"/usr/lib/systemd/system/{name}", content),
        link(f"/etc/systemd/system/multi-user.target.wants/{name}", f"/usr/lib/systemd/system/{name}"),
    )


def clean():
    sums = f"{hashlib.md5(KEY.encode()).hexdigest()}  usr/share/tests/example.key\n"
    return [
        text("/etc/machine-id", mode=0o444),
        text("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\napp:x:990:990::/srv/web:/usr/sbin/nologin\n"),
        text("/etc/shadow", "root:*:20000:0:99999:7:::\napp:!:20000::::::\n", mode=0o640, gid=42),
        text("/etc/group", "root:x:0:\napp:x:990:\n"),
        text("/etc/gshadow", "root:*::\napp:!::\n"),
        text("/etc/hosts", "# own\n127.0.0.1 localhost\n::1 localhost ip6-localhost\nff02::1 ip6-allnodes\n"),
        text("/etc/ssl/certs/site.pem", CERTIFICATE),
        text("/etc/ssh/sshd_config", "HostKey /etc/ssh/key\n"),
        text("/root/.ssh/authorized_keys", "# nobody\n"),
        text("/root/.profile", f"# -----BEGIN RSA {ARMOUR} is only spoken of\n"),
        text("/usr/share/tests/example.key", KEY),
        text("/var/lib/dpkg/info/tests.md5sums", sums),
        text("/var/lib/dpkg/status", "Package: tests\nStatus: install ok installed\n"),
        text("/var/log/dpkg.log"),
        text("/usr/bin/su", TOOL, mode=0o4755),
        text("/usr/bin/ping", TOOL, mode=0o755, xattrs=CAPABILITY),
        text("/usr/sbin/daemon", TOOL, mode=0o755),
        Entry("/tmp", Kind.DIRECTORY, 0o1777, mtime=EPOCH),
        Entry("/var/mail", Kind.DIRECTORY, 0o2775, mtime=EPOCH),
        link("/bin", "usr/bin"),
        link("/etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf"),
        link("/etc/mtab", "../proc/self/mounts"),
        link("/etc/alternatives/vi", "/bin/su"),
        link("/etc/alternatives/vi.1.gz", "/usr/share/man/man1/vim.1.gz"),
        link("/etc/systemd/system/apt-daily.timer", "/dev/null"),
        *service(
            "daemon.service", "[Service]\nExecStart=/usr/sbin/daemon -x\nExecStartPre=-/gone\nUser=app\n"
        ),
        *service("other.service", "[Unit]\nConditionPathExists=/etc/other\n[Service]\nExecStart=/gone\n"),
        text("/usr/lib/systemd/system/getty@.service", "[Service]\nExecStart=-/gone %I\n"),
        link(
            "/etc/systemd/system/getty.target.wants/getty@tty1.service",
            "/usr/lib/systemd/system/getty@.service",
        ),
    ]


def report(directory, *planted, declared=DECLARED, traces=(), shipped=None):
    """Write the clean disk with ``planted`` on it and let the gate look at it."""
    base = clean()
    entries = {entry.path: entry for entry in [*base, *planted]}
    disk, _ = make_disk(directory, sort_entries(tree(*entries.values())))
    return examine(disk, declared, traces=traces, shipped=Tree(base if shipped is None else shipped))
