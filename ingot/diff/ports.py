"""On which ports an image listens, as far as its configuration says.

Read are: enabled sockets of systemd (systemd.socket(5)), ``Listen`` of an enabled Apache, ``listen`` of an
enabled nginx, ``Port`` of an enabled OpenSSH server, and the ports that the recipe's tests ask. A program
that opens a port by itself, and whose port no test asks, is not seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from ingot.diff.sides.side import Side

_ASSIGN = re.compile(r"^\s*(ListenStream|ListenDatagram)\s*=\s*(.*?)\s*$")
_LISTEN = re.compile(r"^\s*Listen\s+(\S+)", re.IGNORECASE)
_OPEN = re.compile(r"^\s*<(IfModule|IfDefine)\s+(!?)([^\s>]+)", re.IGNORECASE)
_CLOSE = re.compile(r"^\s*</(IfModule|IfDefine)>", re.IGNORECASE)
_NGINX = re.compile(r"(?:^|[\s;{])listen\s+([^\s;]+)[^;\n]*;")
_SSH = re.compile(r"^\s*Port[\s=]+(\d+)", re.IGNORECASE)
_LOOPBACK = re.compile(r"^(127\.|\[?::1\]?$|localhost$)")
_UNITS = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")


class Port(NamedTuple):
    """A port. ``address`` is "" for all addresses."""

    protocol: str
    address: str
    number: int

    @property
    def is_local(self) -> bool:
        """Whether only the machine itself reaches it."""
        return bool(_LOOPBACK.match(self.address))

    def __str__(self) -> str:
        return f"{self.protocol} {self.address + ':' if self.address else ''}{self.number}"


def listening_ports(side: Side) -> dict[Port, str]:
    """Return the ports, each with the place that says so."""
    found: dict[Port, str] = {}
    enabled = set(side.manifest["services"].get("enabled", ()))
    if side.has_disk:
        sources = [_sockets(side)]
        if "apache2.service" in enabled:
            sources.append(_apache(side))
        if "nginx.service" in enabled:
            sources.append(_nginx(side))
        if enabled & {"ssh.service", "sshd.service"}:
            sources.append(_ssh(side))
        for source in sources:
            for port, place in source:
                found.setdefault(port, place)
    numbers = {port.number for port in found}
    for test in side.manifest["tests"]:
        number = test.get("http", {}).get("port")
        if number and number not in numbers:
            found.setdefault(Port("tcp", "", int(number)), f"the test {test['name']!r}")
    return found


def _lines(side: Side, path: str) -> list[str]:
    return (side.read(side.follow(path)) or b"").decode("utf-8", "replace").splitlines()


def _port(protocol: str, text: str) -> Port | None:
    """Return the port that ``[address:]port`` names; None for sockets of the file system and the like."""
    address, _, number = text.rpartition(":")
    if not number.isdecimal() or not 0 < int(number) < 65536 or address.startswith("vsock"):
        return None
    # It is read, not bound.
    return Port(protocol, "" if address in ("*", "0.0.0.0", "[::]") else address, int(number))  # noqa: S104


def _sockets(side: Side) -> Iterator[tuple[Port, str]]:
    wanted = {
        path.rpartition("/")[2]: path
        for top in _UNITS
        for path in side.below(top)
        if path.endswith(".socket") and path.rpartition("/")[0].endswith((".wants", ".requires"))
    }
    for name, link in sorted(wanted.items()):
        if name in side.manifest["services"].get("masked", ()):
            continue
        drop_ins = [p for top in _UNITS for p in side.below(f"{top}/{name}.d") if p.endswith(".conf")]
        listed: list[tuple[Port, str]] = []
        for file in (side.follow(link), *drop_ins):
            for number, line in enumerate(_lines(side, file), 1):
                match = _ASSIGN.match(line)
                if match and not match[2]:
                    listed.clear()  # an empty assignment resets the list
                port = match and _port("tcp" if match[1] == "ListenStream" else "udp", match[2])
                if port:
                    listed.append((port, f"{file}:{number}"))
        yield from listed


def _apache(side: Side) -> Iterator[tuple[Port, str]]:
    files = ["/etc/apache2/apache2.conf", "/etc/apache2/ports.conf"]
    for part in ("mods", "conf", "sites"):
        files += [path for path in side.below(f"/etc/apache2/{part}-enabled") if path.endswith(".conf")]
    for file in files:
        active = [True]
        for number, line in enumerate(_lines(side, file), 1):
            if opened := _OPEN.match(line):
                active.append(active[-1] and _holds(side, *opened.groups()))
            elif _CLOSE.match(line) and len(active) > 1:
                active.pop()
            elif (match := _LISTEN.match(line)) and active[-1] and (port := _port("tcp", match[1])):
                yield port, f"{file}:{number}"


def _holds(side: Side, kind: str, negated: str, name: str) -> bool:
    """Tell whether a condition holds.

    A module counts as loaded if its file is enabled; nothing is defined.
    """
    module = name.removesuffix("_module").removesuffix(".c").removeprefix("mod_")
    loaded = kind.lower() == "ifmodule" and f"/etc/apache2/mods-enabled/{module}.load" in side.files
    return loaded is not bool(negated)


def _nginx(side: Side) -> Iterator[tuple[Port, str]]:
    files = [
        "/etc/nginx/nginx.conf",
        *side.below("/etc/nginx/conf.d"),
        *side.below("/etc/nginx/sites-enabled"),
    ]
    for file in files:
        for number, line in enumerate(_lines(side, file), 1):
            for text in _NGINX.findall(line.partition("#")[0]):
                if port := _port("tcp", text):
                    yield port, f"{file}:{number}"


def _ssh(side: Side) -> Iterator[tuple[Port, str]]:
    files = [*side.below("/etc/ssh/sshd_config.d"), "/etc/ssh/sshd_config"]
    found = False
    for file in files:
        for number, line in enumerate(_lines(side, file), 1):
            if (match := _SSH.match(line)) and (port := _port("tcp", match[1])):
                found = True
                yield port, f"{file}:{number}"
    if not found:
        yield Port("tcp", "", 22), "the OpenSSH server's default"
