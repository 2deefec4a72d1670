"""What turns a tree of packages into a machine for EC2: network, time, growth of the root
volume, and Ingot's own programs.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import MappingProxyType
from typing import List, Mapping, Sequence

from ingot.bake.runtime.chroot import Chroot, CommandFailedError, in_root
from ingot.bake.tree.inventory import escape_text
from ingot.bake.tree.volatile import BASELINE, CLOUD_INIT, LIBRARY, Volatile, volatile_of
from ingot.errors import BakeError
from ingot.spec import BakeSpec, CloneTestSpec, ServicesSpec

VOLATILE = f"{LIBRARY}/volatile"
NOWHERE: Mapping[str, str] = MappingProxyType({})
SOURCES = Path(__file__).parent / "rootfs"
UNITS = "/etc/systemd/system"
# Where systemd looks for units of the system, the first wins: systemd.unit(5), table 1.
UNIT_PATH = (UNITS, "/usr/local/lib/systemd/system", "/usr/lib/systemd/system")
# systemd.unit(5).
UNIT_TYPES = (
    ".automount",
    ".device",
    ".mount",
    ".path",
    ".scope",
    ".service",
    ".slice",
    ".socket",
    ".swap",
    ".target",
    ".timer",
)
# file in rootfs/ -> its place in the image and its mode
STATIC = {
    "Ingot.pm": (f"{LIBRARY}/Ingot.pm", 0o644),
    "announce.pl": (f"{LIBRARY}/announce", 0o755),
    "identity.sh": (f"{LIBRARY}/identity", 0o755),
    "inventory.pl": (f"{LIBRARY}/inventory", 0o755),
    "metadata.pl": (f"{LIBRARY}/metadata", 0o755),
    "tests.pl": (f"{LIBRARY}/tests.run", 0o755),
    "ingot-announce.service": ("/usr/lib/systemd/system/ingot-announce.service", 0o644),
    "ingot-identity.service": ("/usr/lib/systemd/system/ingot-identity.service", 0o644),
    "postgresql-order.conf": ("/usr/lib/systemd/system/postgresql@.service.d/ingot.conf", 0o644),
    "ingot-inventory.service": ("/usr/lib/systemd/system/ingot-inventory.service", 0o644),
    "ingot-inventory.timer": ("/usr/lib/systemd/system/ingot-inventory.timer", 0o644),
    "ingot-metadata.service": ("/usr/lib/systemd/system/ingot-metadata.service", 0o644),
    "ingot-tests.service": ("/usr/lib/systemd/system/ingot-tests.service", 0o644),
    "80-ingot.network": ("/etc/systemd/network/80-ingot.network", 0o644),
    "environment.conf": ("/etc/systemd/system.conf.d/ingot.conf", 0o644),
    "hardening.conf": ("/usr/lib/sysctl.d/60-ingot.conf", 0o644),
    "core.conf": ("/etc/security/limits.d/60-ingot.conf", 0o644),
    "ntp.conf": ("/etc/systemd/timesyncd.conf.d/ingot.conf", 0o644),
    "repart.conf": ("/etc/repart.d/50-root.conf", 0o644),
    "repart-order.conf": (f"{UNITS}/systemd-repart.service.d/ingot.conf", 0o644),
}
ENABLED = (
    "ingot-announce.service",
    "ingot-identity.service",
    "ingot-inventory.timer",
    "ingot-metadata.service",
    "ingot-tests.service",
    "systemd-networkd.service",
)
# Those of STATIC and ENABLED that every clone needs, whatever it was made from.
PROGRAMS = (
    "Ingot.pm",
    "announce.pl",
    "identity.sh",
    "inventory.pl",
    "tests.pl",
    "ingot-announce.service",
    "ingot-identity.service",
    "postgresql-order.conf",
    "ingot-inventory.service",
    "ingot-inventory.timer",
    "ingot-tests.service",
)
# Units of packages that would change a clone behind its recipe's back, or that do nothing in one.
DISABLED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "man-db.timer",
    "motd-news.timer",
)
# systemd-update-done(8) writes these files at the first boot, after jobs such as rebuilding the hardware
# database. The image is complete: with the files there, and no older than /usr, these jobs are not run
# (ConditionNeedsUpdate, systemd.unit(5)).
UPDATED = ("/etc/.updated", "/var/.updated")


def write(root: Path, path: str, text: str, mode: int = 0o644) -> None:
    """Write a file of root's into the image, with its parents; their links are followed inside the image."""
    file = in_root(root, path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    file.write_text(text, encoding="utf-8")
    file.chmod(mode)


def install_machine(chroot: Chroot, *, epoch: int) -> None:
    """Install Ingot's programs and the configuration that every image has; enable and disable the units."""
    root = chroot.root
    for name, (place, mode) in STATIC.items():
        write(root, place, (SOURCES / name).read_text(encoding="utf-8"), mode)
    write(root, VOLATILE, _volatile(root).text())
    in_root(root, BASELINE).mkdir(exist_ok=True)
    if not in_root(root, "/etc/hosts", follow=True).exists():
        write(root, "/etc/hosts", "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n")
    for symbols in in_root(root, "/boot", follow=True).glob("System.map-*"):
        # Where the kernel's functions are: for root alone, as on Ubuntu. A layer below may have done it.
        if symbols.stat().st_mode & 0o077:
            symbols.chmod(0o600)
    for path in UPDATED:
        write(root, path, f"TIMESTAMP_NSEC={epoch * 1_000_000_000}\n")
    chroot.run(["systemctl", "enable", *ENABLED], what="enabling the services of every image")
    _disable(chroot)


def _disable(chroot: Chroot) -> None:
    units = [
        unit for unit in DISABLED if os.path.lexists(in_root(chroot.root, f"/usr/lib/systemd/system/{unit}"))
    ]
    if units:
        chroot.run(["systemctl", "disable", *units], what="disabling timers that would change a clone")


def install_programs(chroot: Chroot) -> None:
    """Install and enable Ingot's own programs alone: for a base that brings its network,
    its time and its growth.

    Timers that would change a clone are disabled here, too.
    """
    root = chroot.root
    for name, (place, mode) in STATIC.items():
        if name in PROGRAMS:
            write(root, place, (SOURCES / name).read_text(encoding="utf-8"), mode)
    write(root, VOLATILE, _volatile(root).text())
    in_root(root, BASELINE).mkdir(exist_ok=True)
    units = [unit for unit in ENABLED if unit in PROGRAMS]
    chroot.run(["systemctl", "enable", *units], what="enabling the services of every image")
    _disable(chroot)


def set_identity(root: Path, spec: BakeSpec, root_partition: str) -> None:
    """Write what the image is, how it finds its root volume, and which tests prove it."""
    set_tests(root, spec)
    set_volatile(root, spec)
    write(root, "/etc/fstab", f"PARTUUID={root_partition} / ext4 defaults,x-systemd.growfs 0 1\n")


def _volatile(root: Path) -> Volatile:
    """Return what is volatile in an image before its recipe has a say."""
    return volatile_of(has_cloud_init=os.path.lexists(in_root(root, CLOUD_INIT)))


def set_volatile(root: Path, spec: BakeSpec) -> Volatile:
    """Write what the recipe says of what a clone may change, where it says something;
    return what holds for the image.
    """
    before = _volatile(root)
    # What is on a volume is no part of the image, nor is who owns its root.
    own = (*spec.volatile, *(() if spec.storage is None else spec.storage.mounts))
    volatile = before.with_recipe(own, (file.target for file in spec.files))
    if volatile != before:
        write(root, VOLATILE, volatile.text())
    return volatile


def set_tests(root: Path, spec: BakeSpec) -> None:
    """Write what the image is, and which tests prove it."""
    identity = {"digest": spec.recipe_digest, "recipe": spec.name, "version": spec.version}
    lines = ",\n".join(f'  "{key}": "{value}"' for key, value in sorted(identity.items()))
    write(root, "/etc/ingot/image.json", f"{{\n{lines}\n}}\n")
    lines_of_tests = [_test_line(test) for test in spec.tests]
    lines_of_tests += [f"may-fail\t{_full_name(unit)}\n" for unit in spec.services.may_fail]
    write(root, f"{LIBRARY}/tests", "".join(lines_of_tests))


def _full_name(unit: str) -> str:
    """Return a unit's name with its type: apache2 is apache2.service, as systemctl(1) has it."""
    return unit if unit.endswith(UNIT_TYPES) else f"{unit}.service"


def _test_line(test: CloneTestSpec) -> str:
    """Return a test as the runner in the image reads it: kind, name, key=value …, tabs between them."""
    if test.http is not None:
        http = test.http
        kind, wanted = "http", [f"path={http.path}", f"status={http.status}"]
        wanted += [f"contains={http.contains or ''}", f"port={http.port}"]
    elif test.service is not None:
        kind, wanted = "service", [f"unit={test.service}"]
    else:
        kind, wanted = "command", [f"run={test.command}"]
    return "\t".join([kind, *map(escape_text, (test.name, *wanted))]) + "\n"


def set_locale_and_time(chroot: Chroot, spec: BakeSpec) -> None:
    """Set time zone, locale and host name as the recipe says.

    Raises BakeError when a package is missing for it.
    """
    root = chroot.root
    zone = spec.timezone
    if zone not in ("UTC", "Etc/UTC"):
        if not in_root(root, f"/usr/share/zoneinfo/{zone}", follow=True).is_file():
            raise BakeError(
                f"time zone {zone}: the image does not have it",
                hint=(
                    "names that are kept for old programs alone, such as US/Pacific, are in the package"
                    " tzdata-legacy"
                ),
            )
        localtime = in_root(root, "/etc/localtime")
        localtime.unlink(missing_ok=True)
        localtime.symlink_to(f"/usr/share/zoneinfo/{zone}")
        write(root, "/etc/timezone", f"{zone}\n")
    _set_locale(root, spec.locale)
    in_root(root, "/etc/hostname").unlink(missing_ok=True)
    if spec.hostname != "from-metadata":
        write(root, "/etc/hostname", f"{spec.hostname}\n")


def _set_locale(root: Path, locale: str) -> None:
    """Make it the locale of every service and login: locale.conf(5), and Debian's older
    name for that file.
    """
    write(root, "/etc/locale.conf", f"LANG={locale}\n")
    older = in_root(root, "/etc/default/locale")
    older.parent.mkdir(parents=True, exist_ok=True)
    older.unlink(missing_ok=True)
    older.symlink_to("../locale.conf")


def set_services(chroot: Chroot, services: ServicesSpec, places: Mapping[str, str] = NOWHERE) -> None:
    """Enable, disable and mask units with the image's own systemctl. Raises BakeError with its words.

    ``places``: where the recipe names a unit, ``enable apache2`` → ``recipe.yaml:19:21``.
    """
    for verb in ("enable", "disable", "mask"):
        units = sorted(getattr(services, verb))
        if units:
            try:
                _systemctl(chroot, verb, units)
            except CommandFailedError as error:
                from difflib import get_close_matches  # not for each bake

                # systemctl says which of them it was, in its last words.
                unit = max(units, key=error.output.rfind)
                place = places.get(f"{verb} {unit}")
                near = get_close_matches(unit, _units(chroot.root), n=1, cutoff=0.6)
                raise BakeError(
                    f"{place}: {error.message}" if place else error.message,
                    hint=f"did you mean {near[0]}?" if near else "no package of the recipe brings it",
                ) from error


def _systemctl(chroot: Chroot, verb: str, units: Sequence[str]) -> None:
    """Run systemctl on units, and on init scripts that have none.

    Where both are, systemd takes no notice of the script (systemd-sysv-generator(8)), but systemctl would
    have its links written, which takes longer than all else that it does.
    """
    scripts = [unit for unit in units if _is_script(chroot.root, unit)]
    for names, env in (
        ([unit for unit in units if unit not in scripts], {"SYSTEMCTL_SKIP_SYSV": "1"}),
        (scripts, {}),
    ):
        if names:
            chroot.run(["systemctl", verb, *names], env=env, what=f"services: {verb} {' '.join(names)}")


def _is_script(root: Path, unit: str) -> bool:
    """Whether ``unit`` is an init script alone."""
    name = unit[: -len(".service")] if unit.endswith(".service") else unit
    return in_root(root, f"/etc/init.d/{name}", follow=True).is_file() and not any(
        os.path.lexists(in_root(root, f"{place}/{name}.service")) for place in UNIT_PATH
    )


def _units(root: Path) -> List[str]:
    """Return the units of the image, services without their suffix, as people write them."""
    found = (path.name for path in in_root(root, "/usr/lib/systemd/system", follow=True).glob("*.*"))
    return sorted(name[: -len(".service")] if name.endswith(".service") else name for name in found)
