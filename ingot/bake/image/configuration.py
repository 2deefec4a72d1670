"""What fetches a clone's configuration when it boots: in images whose recipe declares one.

The program is Perl, as the image's others: perl-base and openssl are all that it needs. User data and the
instance's role are what a clone finds its values by (``rootfs/configure.pl``).
"""

from __future__ import annotations

from typing import List

from ingot.bake.image.machine import SOURCES, write
from ingot.bake.runtime.chroot import Chroot, in_root
from ingot.bake.tree.inventory import escape_text
from ingot.bake.tree.volatile import LIBRARY
from ingot.errors import BakeError
from ingot.spec import BakeSpec, ConfigurationSpec

UNITS = "/usr/lib/systemd/system"
UNIT, REFRESH = "ingot-configuration.service", "ingot-configuration-refresh.timer"
STATIC = (UNIT, "ingot-configuration.timer", "ingot-configuration-refresh.service")
# What `systemctl` does to a service when a refresh brought other values: systemctl(1).
VERBS = {"restart": "try-restart", "reload": "try-reload-or-restart"}
OPENSSL = "/usr/bin/openssl"


def set_configuration(chroot: Chroot, spec: BakeSpec) -> None:
    """Install and enable what fetches the configuration, if the recipe declares one.

    Raises BakeError for an image without openssl.
    """
    wanted, root = spec.configuration, chroot.root
    if wanted is None:
        return
    if not in_root(root, OPENSSL, follow=True).is_file():
        raise BakeError(
            f"configuration: the image has no {OPENSSL}, by which clones fetch their values",
            hint="add openssl and ca-certificates to the recipe's packages",
        )
    write(root, f"{LIBRARY}/configure", (SOURCES / "configure.pl").read_text(encoding="utf-8"), 0o755)
    write(root, f"{LIBRARY}/configuration", _declaration(wanted))
    for name in STATIC:
        write(root, f"{UNITS}/{name}", (SOURCES / name).read_text(encoding="utf-8"))
    services = [_service(name) for name in wanted.services]
    for service in services:
        write(root, f"{UNITS}/{service}.d/ingot-configuration.conf", _of_service())
    if services:
        write(root, f"{UNITS}/{UNIT}.d/services.conf", f"[Unit]\nWants={' '.join(services)}\n")
    enabled = [UNIT, "ingot-configuration.timer"]
    if wanted.refresh is not None:
        write(root, f"{UNITS}/{REFRESH}", _refresh(wanted.refresh))
        enabled.append(REFRESH)
    chroot.run(["systemctl", "enable", *enabled], what="enabling what fetches the configuration")


def _service(name: str) -> str:
    return name if name.endswith(".service") else f"{name}.service"


def _of_service() -> str:
    return f"[Unit]\nRequires={UNIT}\nAfter={UNIT}\n\n[Service]\nEnvironmentFile=/run/ingot/environment\n"


def _refresh(seconds: int) -> str:
    # Clones of one fleet were started together: they must not all ask, and perhaps restart, at once.
    return (
        "[Unit]\nDescription=Fetch this clone's configuration again\n\n"
        f"[Timer]\nOnActiveSec={seconds}\nOnUnitInactiveSec={seconds}\nRandomizedDelaySec={seconds // 4}\n\n"
        "[Install]\nWantedBy=timers.target\n"
    )


def _declaration(wanted: ConfigurationSpec) -> str:
    """Return what the recipe declares as the program reads it: a kind and its values, tabs between them."""
    lines: List[List[str]] = [["environment", wanted.owner, wanted.group, wanted.mode]]
    lines += [["variable", name, example] for name, example in wanted.variables]
    lines += [["secret", *secret] for secret in wanted.secrets]
    if wanted.on_change in VERBS and wanted.services:
        lines.append(["on-change", VERBS[wanted.on_change], *map(_service, wanted.services)])
    return "".join("\t".join(map(escape_text, line)) + "\n" for line in lines)
