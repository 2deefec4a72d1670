"""What must hold for the repository as a whole."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent


def tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_package_registry_is_named():
    # Spelled so that this file does not name them.
    host = re.compile(
        "|".join(
            [
                r"deb\.deb" r"ian\.org",
                r"security\.deb" r"ian\.org",
                r"registry\.np" r"mjs\.org",
                r"files\.python" r"hosted\.org",
            ]
        )
    )
    for file in tracked():
        found = host.search(file.read_text(errors="replace"))
        assert not found, f"{file.relative_to(ROOT)} names {found.group()}"


def test_the_setup_can_be_read_by_a_shell():
    for script in ("tools/setup", "tools/up", ".ci/run"):
        subprocess.run(["bash", "-n", script], cwd=ROOT, check=True)
        assert (ROOT / script).stat().st_mode & 0o111


def test_the_mask_of_secrets():
    pattern = re.compile(r"AKIA[0-9A-Z]{16}|-----BEGIN [A-Z ]*PRIVATE KEY-----")
    for file in tracked():
        if file.suffix in (".deb", ".png"):
            continue
        found = pattern.search(file.read_text(errors="replace"))
        assert not found, f"{file.relative_to(ROOT)} holds what looks like a secret: {found.group()[:12]}…"
