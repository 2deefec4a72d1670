"""The three wheels, and virtual environments that have some of them."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import aws_cdk

from tests import ROOT

UV = Path(sys.executable).parent / "uv"
NAMES = ("ingot", "ingot-localcloud", "ingot-machines")
# Imported by every Python of an environment: what it names cannot be imported there.
BLOCKER = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocker())
"""


def tracked(*paths: str) -> set[str]:
    """The files below ``paths`` that Git tracks or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "-co", "--exclude-standard", *paths],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()}


def build(out: Path) -> dict[str, Path]:
    """Build the wheels as `make wheel` does: distribution → file."""
    command = [UV, "build", "--quiet", "--wheel", "--all-packages"]
    done = subprocess.run(
        [*command, "--no-build-isolation", "--python", sys.executable, "--out-dir", out],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    wheels = {path.name.split("-")[0].replace("_", "-"): path for path in out.glob("*.whl")}
    assert set(wheels) == set(NAMES)
    return wheels


def contents(wheel: Path) -> set[str]:
    """The files that a wheel installs, without its metadata."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def environment(directory: Path, *wheels: Path, blocked: tuple[str, ...] = ()) -> Path:
    """Make a virtual environment with ``wheels``, whose dependencies come from this one; return its Python.

    Packages of the name of a ``blocked`` one cannot be imported there.
    """
    command = [sys.executable, "-m", "venv", "--without-pip", directory]
    subprocess.run(command, check=True, capture_output=True)
    [packages] = (directory / "lib").glob("python*/site-packages")
    install = [
        UV,
        "pip",
        "install",
        "--quiet",
        "--offline",
        "--no-deps",
        "--python",
        directory / "bin" / "python",
    ]
    subprocess.run([*install, *wheels], check=True, capture_output=True)
    # This directory's packages are found by its path. Its .pth files are not read: no editable Ingot.
    (packages / "dependencies.pth").write_text(str(Path(aws_cdk.__file__).parent.parent))
    if blocked:
        (packages / "blocker.py").write_text(BLOCKER.format(blocked=set(blocked)))
        (packages / "blocker.pth").write_text("import blocker\n")
    return directory / "bin" / "python"


def outside(**more: str) -> dict[str, str]:
    """The environment variables of a shell that knows nothing of this repository."""
    return {
        key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")
    } | more
