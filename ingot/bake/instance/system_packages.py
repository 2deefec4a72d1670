"""The packages of a recipe on a base AMI: what its own package manager, apt or dnf,
installs from its own repositories.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, List, Mapping, Optional, Sequence

from ingot.errors import BakeError
from ingot.process import CommandError, run
from ingot.progress import Progress

LIMIT = 3600.0  # seconds for one command of a package manager
# What Ingot's programs in a clone need where perl is not in the base: Debian and Ubuntu have perl-base
# always.
PERL = ("perl-interpreter", "perl-IO", "perl-Socket", "perl-lib")
POLICY = Path("/usr/sbin/policy-rc.d")
# What upgrades packages on Debian and Ubuntu by itself: it would hold apt's locks, or change the root while
# it is sealed.
UPGRADES = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "apt-daily.service",
    "apt-daily-upgrade.service",
    "unattended-upgrades.service",
)
LOCK_LIMIT = 300  # seconds for another dpkg to end


def install(names: Sequence[str], progress: Progress, *, root: Optional[Path] = None) -> None:
    """Install packages with apt or dnf, whichever the system has; ``root`` is another
    root directory (dnf only).

    Raises BakeError: no package manager, no such package, no repository.
    """
    if not names and shutil.which("perl"):
        return
    if shutil.which("dnf") and (root is not None or not shutil.which("apt-get")):
        _by_dnf(names, progress, root)
    elif shutil.which("apt-get"):
        _by_apt(names, progress)
    else:
        raise BakeError(
            "the base has neither apt nor dnf", hint="base AMIs are of the families of Debian and of Fedora"
        )


def stop_upgrades() -> None:
    """Stop what would upgrade packages by itself, as long as this machine runs.

    Units that are not there are passed over.
    """
    run(["systemctl", "stop", *UPGRADES], check=False)


def _by_dnf(names: Sequence[str], progress: Progress, root: Optional[Path]) -> None:
    wanted = list(names)
    if root is None and shutil.which("perl") is None:
        wanted += PERL
    if not wanted:
        return
    progress(f"dnf installs {' '.join(wanted)}")
    where = [] if root is None else [f"--installroot={root}"]
    _run(["dnf", "--assumeyes", "--setopt=install_weak_deps=False", *where, "install", *wanted], "dnf", names)


def _by_apt(names: Sequence[str], progress: Progress) -> None:
    if not names:
        return
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    progress(f"apt installs {' '.join(names)}")
    with _no_starts():
        apt = ["apt-get", "--quiet", "--assume-yes", f"--option=DPkg::Lock::Timeout={LOCK_LIMIT}"]
        _run([*apt, "update"], "apt", names, environ)
        options = ["--no-install-recommends", "--option=Dpkg::Options::=--force-confold"]
        _run([*apt, *options, "install", *names], "apt", names, environ)


@contextmanager
def _no_starts() -> Iterator[None]:
    """Keep packages from starting their services here (Debian's invoke-rc.d(8) asks this program)."""
    has_policy = POLICY.exists()
    if not has_policy:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
    try:
        yield
    finally:
        if not has_policy:
            POLICY.unlink()


def _run(
    command: List[str], manager: str, names: Sequence[str], environ: Optional[Mapping[str, str]] = None
) -> None:
    try:
        run(command, env=environ, timeout=LIMIT)
    except CommandError as error:
        raise BakeError(
            f"{manager} cannot install {' '.join(names)}:\n{error.output.strip()[-1500:]}",
            hint="the base AMI's own repositories must have the packages, and the builder must reach them",
        ) from error


def installed_rpms(root: Path) -> List[List[str]]:
    """Return name, version, architecture and size (KiB) of each package in the RPM
    database of ``root``; none without rpm.
    """
    if shutil.which("rpm") is None:
        return []
    form = "%{NAME}\\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\\t%{ARCH}\\t%{SIZE}\\n"
    listed = run(["rpm", "--root", root, "-qa", "--qf", form], check=False)
    rows = [line.split("\t") for line in listed.stdout.splitlines()]
    return sorted(
        [*row[:3], str(int(row[3]) // 1024)] for row in rows if len(row) == 4 and row[0] != "gpg-pubkey"
    )
