"""Each distribution: its archives and suites, its signing keys, and the packages of every image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ingot.errors import InputError
from ingot.recipe.schema.model import Recipe
from ingot.recipe.schema.packages import CHOSEN, PackageChoice

# dpkg's names of the architectures.
DPKG_ARCHITECTURE = {"x86_64": "amd64", "arm64": "arm64"}

# What a clone on EC2 needs beyond the Essential packages; nothing else is added to a recipe's own.
#   systemd-sysv      init, and with it systemd-networkd (DHCP)
#   udev              device nodes and links: nvme, disk/by-partuuid
#   systemd-timesyncd time from 169.254.169.123
#   systemd-resolved  /etc/resolv.conf from DHCP
#   dbus              what systemd's parts and `systemctl` talk through
#   iproute2          looking at the network of a clone
#   e2fsprogs         fsck of the root volume, which /etc/fstab asks for
_COMMON = ("dbus", "e2fsprogs", "iproute2", "systemd-resolved", "systemd-sysv", "systemd-timesyncd", "udev")
# Those of which another package of the recipe may take the place: chrony, ntpsec, resolvconf, openresolv.
REPLACEABLE = ("systemd-resolved", "systemd-timesyncd")
# Fetched and taken apart by the bake, not installed: the UEFI stub of the kernel image, and the initrd's
# tools.
_TOOLS = ("busybox-static", "systemd-boot-efi")
# What a stage has beyond the Essential packages, which depend on it or on usrmerge: no machine boots it.
_STAGE = ("usr-is-merged",)
# Time zones without tzdata, and locales of the C library itself.
UTC = ("UTC", "Etc/UTC")
BUILT_IN_LOCALES = ("C", "POSIX", "C.UTF-8", "C.utf8")


@dataclass(frozen=True)
class Suite:
    """One suite of an archive, such as bookworm-security of debian-security."""

    archive: str
    name: str


@dataclass(frozen=True)
class Distribution:
    """A release that Ingot bakes from scratch."""

    id: str
    suite: str
    suites: tuple[Suite, ...]
    component: str
    """The names of its components, with blanks between them."""
    keyring: Path
    keyring_package: str
    base_packages: tuple[str, ...]
    tools: tuple[str, ...] = _TOOLS

    def plain(self) -> dict[str, str]:
        """Return what a lock says of it."""
        return {"id": self.id, "suite": self.suite}

    @property
    def archives(self) -> tuple[str, ...]:
        """The names of its archives, the main one first."""
        return tuple(dict.fromkeys(suite.archive for suite in self.suites))


def distribution_of(recipe: Recipe) -> Distribution:
    """Return the distribution that a recipe is baked from.

    Raise InputError for a base AMI, which has none.
    """
    architecture = DPKG_ARCHITECTURE[recipe.architecture]
    if recipe.base.debian is not None:
        return _for_recipe(_debian(recipe.base.debian, architecture), recipe)
    if recipe.base.ubuntu is not None:
        return _for_recipe(_ubuntu(recipe.base.ubuntu), recipe)
    problem = recipe.problem(
        ("base", "ami"),
        "a base AMI, which is baked on a builder instance",
        "debian or ubuntu for a bake from scratch on this machine",
    )
    raise InputError("a base AMI has no lock of packages", problems=[problem])


def _for_recipe(distribution: Distribution, recipe: Recipe) -> Distribution:
    """Add what the recipe's settings need: tzdata in the image, locales as a tool of the bake.

    Configuration is fetched by TLS: ca-certificates has the authorities, and depends on openssl. What formats
    ext4, every image has. A stage has nothing of what makes a machine.
    """
    if recipe.whole is not None:
        distribution = replace(distribution, base_packages=_STAGE, tools=())
    zones = () if recipe.timezone in UTC else ("tzdata",)
    tls = () if recipe.configuration is None else ("ca-certificates", "openssl")
    disks = (*recipe.volumes, *((recipe.instance_store,) if recipe.instance_store else ()))
    xfs = ("xfsprogs",) if any(disk.filesystem == "xfs" for disk in disks) else ()
    tools = () if recipe.locale in BUILT_IN_LOCALES else ("locales",)
    # Their indexes are asked for where something of them is named alone.
    chosen = any(PackageChoice.of(text).suite for text in recipe.packages)
    backports = (Suite(distribution.archives[0], CHOSEN.format(distribution.suite)),) if chosen else ()
    return replace(
        distribution,
        component=" ".join((distribution.component, *sorted(recipe.base.components))),
        suites=(*distribution.suites, *backports),
        base_packages=tuple(sorted((*distribution.base_packages, *zones, *tls, *xfs))),
        tools=tuple(sorted((*distribution.tools, *tools))),
    )


def _debian(suite: str, architecture: str) -> Distribution:
    # What grows the root partition at boot is a package of its own from trixie on.
    growth = () if suite == "bookworm" else ("systemd-repart",)
    return Distribution(
        id="debian",
        suite=suite,
        suites=(
            Suite("debian", suite),
            Suite("debian", f"{suite}-updates"),
            Suite("debian-security", f"{suite}-security"),
        ),
        component="main",
        keyring=Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
        keyring_package="debian-archive-keyring",
        # usr-is-merged instead of usrmerge: the bake lays out a merged /usr itself, usrmerge would bring
        # perl.
        base_packages=tuple(
            sorted((*_COMMON, *growth, f"linux-image-cloud-{architecture}", "usr-is-merged"))
        ),
    )


def _ubuntu(suite: str) -> Distribution:
    return Distribution(
        id="ubuntu",
        suite=suite,
        suites=tuple(Suite("ubuntu", f"{suite}{pocket}") for pocket in ("", "-updates", "-security")),
        component="main universe",
        keyring=Path("/usr/share/keyrings/ubuntu-archive-keyring.gpg"),
        keyring_package="ubuntu-keyring",
        base_packages=tuple(sorted((*_COMMON, "linux-image-aws", "usr-is-merged"))),
    )
