"""What the programs of an image can reach of the machine that bakes: nothing."""

import os
import socket
from pathlib import Path

import pytest

# Leaves a chroot: chroot(2), "this call does not change the current working directory".
ESCAPE = """
perl -e '
    mkdir "/tmp/below"; chroot "/tmp/below" or die "chroot: $!";
    chdir ".." for 1..50; chroot "." or die "chroot: $!";
    open my $secret, "<", "PLACE/secret" or print "no secret\\n"; print <$secret> if $secret;
    open my $layer, ">", "PLACE/layers/other/root/pwned" or print "no layer\\n"
'
"""
OPEN = 'for file in FILES; do cat "$file" 2>/dev/null && echo PWNED; done; true'
# linux/keyctl.h: search (10) the session's (-3) and the user's (-4) keyring, read (11).
KEYS = """
perl -e '
    $number = `uname -m` =~ /aarch64/ ? 219 : 250;
    for $ring (-3, -4) {
        $type = "user\\0"; $name = "ingot-test\\0"; $data = "\\0" x 100;
        $key = syscall($number, 10, $ring, $type, $name, 0);
        syscall($number, 11, $key, $data, 100) if $key > 0;
        print "found $data\\n" if $key > 0;
    }
'; echo end
"""
ADD_KEY = """
number = {"x86_64": 248, "aarch64": 217}[os.uname().machine]
libc = ctypes.CDLL(None)
for ring in (-3, -4):
    libc.syscall(number, b"user", b"ingot-test", b"swordfish", 9, ring)
"""


def test_the_chroot_escape_finds_the_image_alone(attack):
    said = attack(ESCAPE.replace("PLACE", str(attack.home)))
    assert said == "no secret\nno layer\n"
    assert list((attack.home / "layers/other/root").iterdir()) == []


@pytest.mark.parametrize(
    "files",
    [
        "/proc/*/root/PLACE/secret /proc/*/cwd/secret /proc/*/task/*/root/PLACE/secret",
        "/proc/*/fd/3 /proc/*/fd/4 /proc/*/fd/5 /proc/*/fd/6 /proc/*/fd/7 /proc/*/fd/8 /proc/*/fd/9",
        "/dev/fd/3 /dev/fd/4 /dev/fd/5 /dev/fd/6 /dev/fd/7",
    ],
)
def test_no_process_leads_out(attack, files):
    assert attack(OPEN.replace("FILES", files).replace("PLACE", str(attack.home))) == ""


def test_no_environment_of_the_bake_is_there(attack):
    said = attack("cat /proc/*/environ | tr '\\0' '\\n'; env; set")
    assert "PATH=" in said
    assert "swordfish" not in said


@pytest.mark.parametrize(
    ("script", "most"),
    [
        ("cd /proc; ls -d [0-9]* 2>/dev/null | wc -l", 5),
        ("for pid in $(seq 1 300); do kill -0 $pid 2>/dev/null && echo; done | wc -l", 6),
        ("(sleep 60 &); kill -9 -1; cd /proc; ls -d [0-9]* 2>/dev/null | wc -l", 6),
    ],
)
def test_no_other_process_is_there_to_be_traced_or_killed(attack, script, most):
    """The shell that is the first process, the step's own, and what that runs: no more."""
    assert int(attack(script)) <= most


def test_descriptors_are_the_three_of_a_program(attack):
    said = attack("ls /proc/self/fd | wc -l; readlink /proc/self/fd/0; ls /proc/self/fd/")
    assert said.split()[:2] == ["4", "/dev/null"]  # the fourth is that of ls itself


def test_devices_cannot_be_made(attack):
    kinds = ["b 254 0", "b 8 0", "b 259 0", "c 1 1", "c 1 11", "c 10 237"]
    script = "\n".join(
        f"for place in /dev /tmp /mnt /run; do mknod $place/d{number} {kind} 2>/dev/null && echo PWNED; done"
        for number, kind in enumerate(kinds)
    )
    assert attack(f"{script}\ntrue") == ""


def test_a_device_that_is_in_the_tree_cannot_be_opened(engine):
    """The tree of a base AMI may hold device files."""
    if engine.user != "root":
        pytest.skip("only root of the machine can make one")
    said = engine("""
os.mknod(root / "zero", 0o20666, os.makedev(1, 5))
chroot = Chroot(root, epoch=1); chroot.mount()
try: print(chroot.run(["/bin/sh", "-c", "head -c 1 /zero"], what="x"))
except BakeError as error: print(error)
""")
    assert "Permission denied" in said


def test_the_kernel_that_scripts_are_told_of_is_the_image_s(engine):
    said = engine("""
chroot = Chroot(root, epoch=1, kernel="6.1.0-image"); chroot.mount()
print(chroot.run(["/bin/sh", "-c", "uname -r; uname -a"], what="x"), end="")
""")
    release, whole = said.splitlines()
    assert release == "6.1.0-image"
    assert release in whole
    assert os.uname().release not in whole
    assert os.uname().version not in whole


MOUNTS = """
mkdir -p /mnt/a /mnt/b /mnt/c /mnt/d
for type in sysfs cgroup cgroup2 debugfs tracefs proc tmpfs devtmpfs devpts mqueue bpf securityfs; do
    mount -t $type none /mnt/a 2>/dev/null && echo "PWNED $type"
done
directories=lowerdir=/mnt/b,upperdir=/mnt/c,workdir=/mnt/d
mount -t overlay none -o $directories /mnt/a 2>/dev/null && echo "PWNED overlay"
mount --bind / /mnt/a 2>/dev/null && echo "PWNED bind"
mount -o remount,rw /proc/sys 2>/dev/null && echo "PWNED remount"
mount -o remount,dev / 2>/dev/null && echo "PWNED remount"
umount /proc/sys 2>/dev/null && echo "PWNED umount"
umount -l /proc 2>/dev/null && echo "PWNED umount"
"""


@pytest.mark.parametrize(
    "before",
    [
        "",
        "unshare --mount",
        "unshare --user --map-root-user --mount --cgroup --net --pid --fork",
        "unshare --cgroup --mount",
    ],
)
def test_nothing_can_be_mounted(attack, before):
    assert attack(f"cat >/tmp/mounts <<'E'\n{MOUNTS}E\n{before} sh /tmp/mounts 2>/dev/null; true") == ""


@pytest.mark.parametrize(
    "kind", ["user", "mount", "pid", "net", "ipc", "uts", "cgroup", "user --map-root-user --net"]
)
def test_no_namespace_can_be_made(attack, kind):
    assert attack(f"unshare --{kind} true 2>/dev/null && echo PWNED; true") == ""


@pytest.mark.parametrize(
    ("file", "value"),
    [
        ("sys/vm/swappiness", "61"),
        ("sys/kernel/core_pattern", "|/tmp/pwned"),
        ("sys/kernel/modprobe", "/tmp/pwned"),
        ("sys/kernel/hostname", "pwned"),
        ("sys/net/ipv4/ip_forward", "1"),
        ("sys/user/max_user_namespaces", "1000"),
        ("sysrq-trigger", "h"),  # prints help to the kernel's log
        ("irq/default_smp_affinity", "3"),
        ("mtrr", ""),
    ],
)
def test_nothing_of_the_kernel_can_be_set(attack, file, value):
    place = Path("/proc") / file
    if not place.exists():
        pytest.skip(f"this kernel has no {place}")
    before = place.read_text() if file.startswith("sys/") else None
    try:
        said = attack(
            f"chmod 666 /proc/{file} 2>/dev/null; printf %s '{value}' 2>/dev/null >/proc/{file} && echo"
            " PWNED; true"
        )
        assert said == ""
        if before is not None:
            assert place.read_text() == before
    finally:
        if before is not None and place.read_text() != before:
            place.write_text(before)


@pytest.mark.parametrize(
    "place", ["/dev/null", "/dev/tty", "/proc/uptime", "/proc/meminfo", "/proc/kmsg", "/proc/keys"]
)
def test_modes_of_the_machine_s_own_files_stay(attack, place):
    """The nodes of devices are the machine's; the kernel keeps the modes of /proc once for all."""
    before = [Path(path).stat() for path in (place, "/dev/null")]
    try:
        said = attack(
            f"chmod 640 {place} 2>/dev/null && echo PWNED; chown 5:5 {place} 2>/dev/null && echo PWNED; echo"
            " x >/dev/null"
        )
        after = [Path(path).stat() for path in (place, "/dev/null")]
        assert said == ""
        assert [(s.st_mode, s.st_uid) for s in after] == [(s.st_mode, s.st_uid) for s in before]
    finally:
        for path, status in zip((place, "/dev/null"), before, strict=True):
            os.chown(path, status.st_uid, status.st_gid)
            Path(path).chmod(status.st_mode & 0o7777)


def test_sysctl_in_a_step_changes_nothing(attack):
    swappiness = Path("/proc/sys/vm/swappiness")
    before = swappiness.read_text()
    try:
        said = attack(
            "mkdir -p /etc/sysctl.d; echo vm.swappiness=62 >/etc/sysctl.d/x.conf; sysctl --system; sysctl -w"
            " vm.swappiness=62"
        )
        assert "vm.swappiness" in said
        assert swappiness.read_text() == before
    finally:
        if swappiness.read_text() != before:
            swappiness.write_text(before)


def test_nothing_of_sys_is_there(attack):
    assert attack("ls /sys 2>/dev/null; true") == ""


def test_what_only_root_may_read_of_the_kernel_is_empty(attack):
    said = attack(
        "cd /proc; for file in kcore kmsg keys slabinfo timer_list vmallocinfo; do head -c 1 $file"
        " 2>/dev/null; done; true"
    )
    assert said == ""


def test_devices_are_six(attack):
    said = attack(
        "for file in /dev/* /dev/shm/*; do test ! -L $file -a \\( -b $file -o -c $file \\) && echo $file;"
        " done; true"
    )
    assert said.split() == [f"/dev/{name}" for name in ("full", "null", "random", "tty", "urandom", "zero")]


def test_capabilities_are_those_of_a_container(attack):
    """Beside what chown, chmod, su and setcap need there is none: no sys_admin (21),
    mknod (27), dac_read_search (2), sys_ptrace (19).
    """
    bounds = int(attack("sed -n 's/^CapBnd://p' /proc/self/status"), 16)
    assert {number for number in range(64) if bounds >> number & 1} <= {
        0,
        1,
        3,
        4,
        5,
        6,
        7,
        8,
        10,
        12,
        13,
        14,
        18,
        23,
        29,
        31,
    }


def test_a_machine_without_core_files_runs_programs(engine):
    """Where they are switched off for good, as in images from scratch, the limit may not be raised."""
    none = "import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
    said = engine(none + "sys.argv[2:] = ['ulimit -c; ulimit -Hc']\n" + ENGINE_RUN)
    assert set(said.split()) <= {"0", "1"}
    assert len(said.split()) == 2


def test_keys_of_the_bake_are_not_there(engine):
    said = engine(ADD_KEY + "\nsys.argv[2:] = [" + repr(KEYS) + "]\n" + ENGINE_RUN)
    assert "swordfish" not in said
    if engine.user != "closed":  # there root's own keyring can be searched, but its keys cannot be read
        assert said == "end\n"


ENGINE_RUN = """
chroot = Chroot(root, epoch=1)
chroot.mount()
sys.stdout.write(chroot.run(["/bin/sh", "-c", sys.argv[2]], what="x"))
"""


def test_sockets_of_the_machine_are_not_there(attack):
    with socket.socket(socket.AF_UNIX) as abstract, socket.socket() as loopback:
        name = f"ingot-containment-test-{os.getpid()}"
        abstract.bind(f"\0{name}")
        abstract.listen()
        loopback.bind(("127.0.0.1", 0))
        loopback.listen()
        said = attack(
            "perl -MSocket -e '"
            'socket(S, AF_UNIX, SOCK_STREAM, 0); print "PWNED\\n" if connect(S, pack("Sa*", AF_UNIX,'
            f' "\\0{name}"));'
            'socket(T, AF_INET, SOCK_STREAM, 0); print "PWNED\\n" if connect(T,'
            f" sockaddr_in({loopback.getsockname()[1]}, INADDR_LOOPBACK));"
            "'; true"
        )
    assert said == ""


def test_what_scripts_of_packages_need_is_there(attack):
    """Owners, modes, capabilities of files, accounts, roots of their own, ports below 1024 on loopback, and
    what /etc/resolv.conf leads to: a machine without it has no name for postfix's script.
    """
    script = """
set -e
cd /root; touch file; chown 33:33 file; stat -c %u:%g file; chmod 4755 file; stat -c %a file
setcap cap_net_bind_service=ep file; getcap file | sed 's/.*cap/cap/'
mkfifo pipe; chgrp 33 pipe; mkdir -p below; chroot / true
setpriv --reuid=33 --regid=33 --init-groups id -u
test -f /run/systemd/resolve/stub-resolv.conf; test ! -e /run/systemd/system
perl -MIO::Socket::INET -e '
    $s = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1", LocalPort => 80) or die $!;
    print "port\\n"'
nice -n 5 true; ls -l /proc/self/fd >/dev/null
cat /proc/cpuinfo /proc/mounts /proc/sys/kernel/osrelease >/dev/null
"""
    assert attack(script).split() == ["33:33", "4755", "cap_net_bind_service=ep", "33", "port"]
