"""Running the packages' own scripts: first each preinst, then ``dpkg --configure``."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Set, Tuple

from ingot.bake.packages.database import info_name
from ingot.bake.packages.deb import Control, Package, contents
from ingot.bake.runtime.chroot import Chroot, in_root
from ingot.deb822 import names_in

# Asked by invoke-rc.d: 101 = do not start services here (the file is gone before the tree is sealed).
POLICY = "/usr/sbin/policy-rc.d"
DPKG_OPTIONS = ["--force-unsafe-io", "--force-confold", "--force-depends"]


def run_preinsts(chroot: Chroot, packages: List[Tuple[Package, Control]]) -> None:
    """Run each package's preinst script as for a first installation, what others depend on first."""
    for package, control in _in_order(packages):
        if "preinst" not in control.members:
            continue
        name = info_name(package, control)
        chroot.run(
            [f"/var/lib/dpkg/info/{name}.preinst", "install"],
            env={
                "DPKG_MAINTSCRIPT_PACKAGE": package.name,
                "DPKG_MAINTSCRIPT_NAME": "preinst",
                "DPKG_MAINTSCRIPT_ARCH": package.architecture,
                "DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT": "1",
                "DPKG_MAINTSCRIPT_DEBUG": "0",
                "DPKG_ADMINDIR": "/var/lib/dpkg",
                "DPKG_ROOT": "",
            },
            what=f"the preinst script of package {package}",
        )


def _in_order(packages: List[Tuple[Package, Control]]) -> List[Tuple[Package, Control]]:
    """Return the packages, essential ones first, each after those that it pre-depends on
    (as far as there is no circle).
    """
    by_name = {package.name: (package, control) for package, control in packages}
    done: Dict[str, Tuple[Package, Control]] = {}
    entered: Set[str] = set()

    def visit(name: str) -> None:
        if name not in by_name or name in entered:
            return
        entered.add(name)
        for needed in names_in(by_name[name][1].fields.get("pre-depends", "")):
            visit(needed)
        done[name] = by_name[name]

    # base-passwd makes /etc/passwd and /etc/group, which other scripts read.
    visit("base-passwd")
    for name in sorted(by_name, key=lambda name: (not by_name[name][0].essential, name)):
        visit(name)
    return list(done.values())


def unpack_by_dpkg(chroot: Chroot, packages: List[Package]) -> None:
    """Let dpkg itself unpack packages that need it; their files are in the image's /tmp meanwhile."""
    if not packages:
        return
    directory = chroot.root / "tmp" / "ingot-packages"
    directory.mkdir()
    for package in packages:
        (directory / package.file.name).write_bytes(package.file.read_bytes())
    names = [f"/{directory.relative_to(chroot.root)}/{package.file.name}" for package in packages]
    chroot.run(["dpkg", *DPKG_OPTIONS, "--unpack", *names], what="unpacking " + ", ".join(map(str, packages)))


def configure_all(chroot: Chroot) -> None:
    """Configure all unpacked packages and run their triggers; nothing is started.

    Raises BakeError with dpkg's last words.
    """
    policy = in_root(chroot.root, POLICY)
    policy.unlink(missing_ok=True)
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        chroot.run(["dpkg", *DPKG_OPTIONS, "--configure", "--pending"], what="configuring the packages")
        chroot.run(["dpkg", "--audit"], what="dpkg's audit of the packages")
    finally:
        in_root(chroot.root, POLICY).unlink(missing_ok=True)


def diverts(control: Control) -> bool:
    """Tell whether a package's preinst speaks of diverting files of other packages (dpkg-divert(1))."""
    return b"dpkg-divert" in control.members.get("preinst", (0, b""))[1]


def is_contested(root: Path, package: Package) -> bool:
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
