"""Running the engine as an ordinary user, from tests that run as root."""

import os
import shutil
import subprocess

import pytest

from tests.baked import ROOT

USER = "nobody"  # every machine has it, and it owns nothing
NEEDED = ("newuidmap", "newgidmap", "setpriv", "unshare")
needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or any(shutil.which(tool) is None for tool in NEEDED),
    reason="becomes an ordinary user; needs root, uidmap and util-linux",
)
# /usr/bin/python3 and not the one of these tests: that may lie where only root may look. The engine needs no
# more than Python 3.9.
PYTHON = "/usr/bin/python3"


def as_user(public, code, *words, ids=f"{USER}:300000:65536\n", env=None):
    """Run Python as the ordinary user, in a mount namespace where /etc/subuid and subgid say ``ids``."""
    (public / "ids").write_text(ids)
    (public / "ids").chmod(0o644)
    binds = [(public / "ids", "/etc/subuid"), (public / "ids", "/etc/subgid"), (ROOT, public / "code")]
    mounts = "".join(f"mount --bind '{source}' '{target}'\n" for source, target in binds)
    command = ["unshare", "--mount", "sh", "-euc", f'{mounts}exec "$@"', "sh"]
    command += ["setpriv", f"--reuid={USER}", "--regid=nogroup", "--clear-groups", PYTHON, "-c", code, *words]
    environment = {"PATH": os.defpath, "PYTHONPATH": str(public / "code"), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command,
        cwd=public / "home",
        env={**environment, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )
