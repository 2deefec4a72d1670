"""Attacks on the machine that bakes: as root, as root without user namespaces, and as an ordinary user."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.bake.ordinary import NEEDED, as_user
from tests.baked import ROOT

# A root with this machine's /usr for the programs, in namespaces as the worker has them. What stands between
# the two lines is the attack's.
PRELUDE = """
import ctypes, os, subprocess, sys
from pathlib import Path

if os.environ.get("INSIDE") is None:
    from ingot.bake.engine import command
    words = [*command()[:-4], sys.executable, "-c", sys.argv[1], *sys.argv[1:]]
    os.execve(words[0], words, {**os.environ, "INSIDE": "1", "SECRET": "swordfish"})

from ingot.bake.runtime import mounts
from ingot.bake.runtime.chroot import Chroot
from ingot.bake.runtime.sandbox import loopback_up
from ingot.errors import BakeError

loopback_up()
place = Path.cwd()
root = place / "layers/one/root"
root.mkdir(parents=True)
(place / "layers/other/root").mkdir(parents=True)
(place / "secret").write_text("swordfish")
for name in ("usr", "etc", "root", "mnt"):
    (root / name).mkdir()
for name in ("bin", "sbin", "lib", "lib64"):
    (root / name).symlink_to(f"usr/{name}")
(root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\\nwww-data:x:33:33::/:/bin/sh\\n")
(root / "etc/group").write_text("root:x:0:\\nwww-data:x:33:\\n")
mounts.bind(Path("/usr"), root / "usr")
"""
RUN = """
chroot = Chroot(root, epoch=1)
chroot.mount()
os.set_inheritable(os.open("secret", os.O_RDONLY), True)
try:
    sys.stdout.write(chroot.run(["/bin/sh", "-c", sys.argv[2]], what="the attack", timeout=60))
except BakeError as error:
    print(error)
"""


# Root where user namespaces are switched off, as some hardened machines have it. In one of the test's own:
# /proc/sys/user is each one's.
CLOSED = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
ready, go = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    assert libc.unshare(0x10000000 | 0x00020000) == 0  # user and mount namespace
    os.write(ready[1], b".")
    os.read(go[0], 1)
    open("/proc/sys/user/max_user_namespaces", "w").write("0")
    os.execv(sys.argv[1], sys.argv[1:])
os.read(ready[0], 1)
for name in ("uid_map", "gid_map"):
    open(f"/proc/{child}/{name}", "w").write("0 0 65536\\n")
os.write(go[1], b".")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.fixture(params=["root", "user", "closed"])
def engine(request, public):
    """Run Python with :data:`PRELUDE` before it, as one of three users; return what it
    printed. cwd: public/home.
    """
    if os.geteuid() != 0:
        pytest.skip("becomes root and an ordinary user")
    if request.param == "user" and any(shutil.which(tool) is None for tool in NEEDED):
        pytest.skip("needs uidmap and util-linux")

    def run(code, *words, fails=False):
        text = PRELUDE + code
        if request.param == "user":
            done = as_user(public, text, text, *words)
        else:
            done = subprocess.run(
                [
                    *([sys.executable, "-c", CLOSED] if request.param == "closed" else []),
                    sys.executable,
                    "-c",
                    text,
                    text,
                    *words,
                ],
                cwd=public / "home",
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
                capture_output=True,
                text=True,
                check=False,
            )
        if not fails:
            assert done.returncode == 0, done.stderr
        return done.stdout + (done.stderr if fails else "")

    run.home = public / "home"
    run.user = request.param
    return run


@pytest.fixture
def attack(engine):
    """Run a shell script as a step of a recipe runs; return what it printed."""

    def run(script):
        return engine(RUN, script)

    run.home, run.user = engine.home, engine.user
    return run
