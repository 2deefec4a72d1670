"""Running the packages' own scripts, each as dpkg runs it."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import Collection, Iterator, List, Sequence

from ingot.bake.packages.database import ADMIN, mode_of
from ingot.bake.packages.deb import Control, LockedDeb, contents
from ingot.bake.runtime.chroot import Chroot, in_root
from ingot.spec import AnswerSpec

# Asked by invoke-rc.d: 101 = do not start services here (the file is gone before the tree is sealed).
POLICY = "/usr/sbin/policy-rc.d"
DPKG_OPTIONS = ["--force-unsafe-io", "--force-confold", "--force-depends"]


def run_preinst(chroot: Chroot, package: LockedDeb, control: Control, dpkg: str) -> None:
    """Run a package's preinst script, if it has one, as dpkg does for a first installation.

    The control part is in ``tmp.ci`` meanwhile: debconf takes from there whose questions a script asks, and
    finds their templates beside it (debconf's frontend). ``dpkg`` is the version of the image's own. Source
    of arguments and environment: dpkg(1), and dpkg's src/main/script.c.
    """
    if "preinst" not in control.members:
        return
    place = in_root(chroot.root, f"/{ADMIN}", follow=True) / "tmp.ci"
    shutil.rmtree(place, ignore_errors=True)  # of a package's own making
    place.mkdir(mode=0o755)
    (place / "control").write_text(control.text)
    for member, (mode, content) in control.members.items():
        (place / member).write_bytes(content)
        (place / member).chmod(mode_of(mode))
    chroot.run(
        [f"/{ADMIN}/tmp.ci/preinst", "install"],  # noqa: S108 - no directory for temporary files
        env={
            "DPKG_MAINTSCRIPT_PACKAGE": package.name,
            "DPKG_MAINTSCRIPT_NAME": "preinst",
            "DPKG_MAINTSCRIPT_ARCH": package.architecture,
            "DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT": "1",
            "DPKG_MAINTSCRIPT_DEBUG": "0",
            "DPKG_RUNNING_VERSION": dpkg,
            "DPKG_ADMINDIR": f"/{ADMIN}",
            "DPKG_ROOT": "",
        },
        what=f"the preinst script of package {package}",
    )
    shutil.rmtree(place)


def answer_questions(chroot: Chroot, answers: Sequence[AnswerSpec]) -> None:
    """Answer what packages will ask, in debconf's database: debconf-set-selections(1)."""
    if not answers:
        return
    file = chroot.root / "tmp" / "ingot-answers"
    file.write_text("".join(f"{a.package} {a.question} {a.type} {a.value}\n" for a in answers))
    command = ["debconf-set-selections", f"/{file.relative_to(chroot.root)}"]
    chroot.run(command, what="answering the questions of packages (debconf)")


def unpack_by_dpkg(chroot: Chroot, packages: List[LockedDeb]) -> None:
    """Let dpkg itself unpack packages that need it; their files are in the image's /tmp meanwhile."""
    if not packages:
        return
    directory = chroot.root / "tmp" / "ingot-packages"
    directory.mkdir()
    for package in packages:
        (directory / package.file.name).write_bytes(package.file.read_bytes())
    names = [f"/{directory.relative_to(chroot.root)}/{package.file.name}" for package in packages]
    chroot.run(["dpkg", *DPKG_OPTIONS, "--unpack", *names], what="unpacking " + ", ".join(map(str, packages)))


@contextmanager
def services_held(chroot: Chroot) -> Iterator[None]:
    """Let packages' scripts start no service: invoke-rc.d asks this program."""
    policy = in_root(chroot.root, POLICY)
    policy.parent.mkdir(parents=True, exist_ok=True)
    policy.unlink(missing_ok=True)
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        in_root(chroot.root, POLICY).unlink(missing_ok=True)


def configure(chroot: Chroot, names: Collection[str]) -> None:
    """Configure some of the unpacked packages; triggers wait for :func:`configure_all`, as with apt."""
    if names:
        chroot.run(
            ["dpkg", *DPKG_OPTIONS, "--no-triggers", "--configure", *sorted(names)],
            what="configuring what other packages need before they are unpacked",
        )


def configure_all(chroot: Chroot) -> None:
    """Configure all unpacked packages and run their triggers.

    Raises BakeError with dpkg's last words.
    """
    chroot.run(["dpkg", *DPKG_OPTIONS, "--configure", "--pending"], what="configuring the packages")
    chroot.run(["dpkg", "--audit"], what="dpkg's audit of the packages")


def diverts(control: Control) -> bool:
    """Tell whether a package's preinst speaks of diverting files of other packages (dpkg-divert(1))."""
    return b"dpkg-divert" in control.members.get("preinst", (0, b""))[1]


def is_contested(root: Path, package: LockedDeb) -> bool:
    """Tell whether a package that diverts holds a file that the packages unpacked before it hold as well.

    Its diversion must then come between the two, so dpkg itself has to unpack it. Most diversions guard names
    that nothing has: those of trixie's base-files and libc6 against the time before the merged /usr (DEP 17),
    without which no program runs.
    """
    for path in contents(package):
        place = in_root(root, path.rstrip("/"))
        if not path.endswith("/") and (place.is_symlink() or (place.exists() and not place.is_dir())):
            return True
    return False


def drop_options(root: Path, patterns: List[str]) -> None:
    """Tell the image's own dpkg to leave out what the recipe drops, for packages that a step installs."""
    if patterns:
        file = in_root(root, "/etc/dpkg/dpkg.cfg.d/ingot")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        file.write_text("".join(f"{pattern}\n" for pattern in patterns))
