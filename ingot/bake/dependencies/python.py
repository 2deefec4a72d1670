"""A virtual environment, made by the image's own Python and filled by pip without a network.

pip runs from its wheel, so the image does not have it. Everything that would differ between two bakes is off
or fixed: no bytecode, no cache, files found by their names and hashes (a path would be recorded in
direct_url.json), a directory that is the image's own. pip sorts RECORD itself.
"""

from __future__ import annotations

from pathlib import Path

from ingot.bake.packages.cache import download_file
from ingot.bake.runtime import mounts
from ingot.bake.runtime.chroot import Chroot, CommandFailedError, in_root
from ingot.bake.runtime.kernel import kernel_release
from ingot.errors import BakeError
from ingot.spec import BakeSpec, PythonSpec

# In the image's /tmp, which is memory: what is mounted and written there is no part of the image.
_PLACE = "/tmp/ingot-python"  # noqa: S108
_OPTIONS = (
    "--no-index",
    "--no-deps",
    "--no-compile",
    "--no-cache-dir",
    "--no-input",
    "--disable-pip-version-check",
    "--no-warn-script-location",
    "--root-user-action=ignore",
    "--require-hashes",
    "--only-binary=:all:",
    "--quiet",
)

# Installs and checks in one process: pip is imported from its wheel, which each process has to compile.
# The check is imported first, because pip warns about imports after an installation.
_PROGRAM = """import sys
sys.path[0] = "PIP"
import pip._internal.commands.check
from pip._internal.cli.main import main
status = main(["--isolated", "install", *sys.argv[1:]])
sys.exit(status or (main(["--isolated", "check", "--disable-pip-version-check"]) and UNFIT))
"""
_UNFIT = 70  # the exit status when they do not go together; pip's own are below


def install_python(root: Path, spec: BakeSpec, packages: Path) -> None:
    """Make the virtual environment of ``spec`` in ``root``, of the wheels in the directory ``packages``.

    Raises BakeError with pip's last words.
    """
    python = spec.python
    if python is None:
        return
    if not in_root(root, python.interpreter, follow=True).is_file():
        raise BakeError(f"the image has no {python.interpreter}", hint="name its package in `packages`")
    chroot = Chroot(root, epoch=spec.epoch, kernel=kernel_release(spec))
    chroot.mount()
    try:
        _offer(root, python, packages)
        what = f"making the virtual environment {python.target}"
        chroot.run([python.interpreter, "-m", "venv", "--without-pip", python.target], what=what)
        pip = [f"{python.target}/bin/python", f"{_PLACE}/install.py", *_OPTIONS]
        arguments = ["--find-links", f"{_PLACE}/wheels", "--requirement", f"{_PLACE}/requirements.txt"]
        try:
            chroot.run([*pip, *arguments], what="pip cannot install the Python packages")
        except CommandFailedError as error:
            said = error
            if error.reason == f"exit status {_UNFIT}":
                said = CommandFailedError(
                    "the Python packages do not go together", error.reason, error.output
                )
            hint = "are all packages in the requirements, for this Python?"
            raise BakeError(said.message, hint=hint) from error
    finally:
        chroot.unmount()


def _offer(root: Path, python: PythonSpec, packages: Path) -> None:
    """Show the wheels in the image, under their own names, and write what pip is to install."""
    place = Path(f"{root}{_PLACE}")
    wheels = place / "wheels"
    wheels.mkdir(parents=True)
    for wheel in python.wheels:
        show(download_file(packages, wheel.sha256), wheels / wheel.file)
    show(download_file(packages, python.installer.sha256), place / "pip.whl")
    lines = [f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}\n" for wheel in python.wheels]
    (place / "requirements.txt").write_text("".join(lines))
    program = _PROGRAM.replace("PIP", f"{_PLACE}/pip.whl").replace("UNFIT", str(_UNFIT))
    (place / "install.py").write_text(program)


def show(file: Path, place: Path) -> None:
    """Let the programs of the image read ``file`` at ``place``, until the chroot is unmounted."""
    place.touch()
    mounts.bind(file, place)
    mounts.make_read_only(place)
