"""Systemd units that are enabled but cannot be loaded or started: systemd.unit(5), systemd.service(5)."""

from __future__ import annotations

import posixpath
import re
from typing import Dict, Iterator, List, Optional, Set

from ingot.bake.hygiene.finding import Finding
from ingot.bake.hygiene.view import RUNTIME, View
from ingot.bake.image.machine import UNIT_PATH, UNITS
from ingot.bake.tree.tree import Entry, Kind, decode

# Where it looks for programs that are no absolute path: systemd.exec(5), ExecSearchPath=.
_PROGRAM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin")
_TYPES = (".service", ".socket", ".timer", ".path", ".target", ".mount", ".automount", ".swap", ".slice")
# These start a unit of the same name unless they name another.
_STARTERS = {".timer": ("Timer", "Unit"), ".path": ("Path", "Unit"), ".socket": ("Socket", "Service")}
_COMMANDS = ("ExecStart", "ExecStartPre", "ExecStartPost", "ExecCondition", "ExecReload", "ExecStop")
# A service must have one of them.
_ACTIONS = ("ExecStart", "ExecStop", "SuccessAction")
# Packages of programs that units of other packages run without depending on them: an image has what it names.
_PACKAGES = {
    "fuser": "psmisc",
    "iptables": "iptables",
    "kill": "procps",
    "killall": "psmisc",
    "modprobe": "kmod",
    "nft": "nftables",
    "openssl": "openssl",
    "pkill": "procps",
    "sysctl": "procps",
}
_CONDITIONS = (
    "ConditionPathExists",
    "ConditionFileIsExecutable",
    "ConditionFileNotEmpty",
    "ConditionPathIsDirectory",
)

Settings = Dict[str, List[str]]


def is_enablement(entry: Entry) -> bool:
    """Tell whether a link is there to enable a unit."""
    directory, name = posixpath.split(entry.path)
    return entry.path.startswith(f"{UNITS}/") and (
        directory.endswith((".wants", ".requires", ".upholds"))
        or (directory == UNITS and name.endswith(_TYPES))
    )


def check(view: View) -> Iterator[Finding]:
    """Yield enabled units that are not there, whose program or user is missing, or that systemd refuses."""
    seen: Set[str] = set()
    for entry in view.below(UNITS):
        if entry.kind is not Kind.SYMLINK or not is_enablement(entry) or entry.link == "/dev/null":
            continue
        name = posixpath.basename(entry.path)
        if _load(view, name) is None and not _is_masked(view, name):
            yield Finding("unit", entry.path, f"{name} is enabled, but there is no such unit")
        elif name not in seen:
            seen.add(name)
            yield from _unit(view, name)


def _unit(view: View, name: str) -> Iterator[Finding]:
    settings = _load(view, name)
    if settings is None or _is_skipped(view, settings):
        return
    path = _find(view, name) or name
    suffix = posixpath.splitext(name)[1]
    if suffix in _STARTERS:
        started = _started(name, settings)
        if _load(view, started) is None and not _is_masked(view, started):
            yield Finding("unit", path, f"it starts {started}, but there is no such unit")
        elif posixpath.splitext(started)[1] not in _STARTERS:  # which may start each other in a circle
            yield from _unit(view, started)
    if suffix == ".service":
        yield from _service(view, path, settings)


def _started(name: str, settings: Settings) -> str:
    """Return the unit that a timer, path or socket starts: systemd.timer(5),
    systemd.path(5), systemd.socket(5).
    """
    stem, suffix = posixpath.splitext(name)
    section, key = _STARTERS[suffix]
    if suffix == ".socket" and _is_true(_last(settings, "Socket.Accept")):
        return f"{stem.partition('@')[0]}@.service"  # an instance for each connection
    return _last(settings, f"{section}.{key}") or f"{stem}.service"


def _service(view: View, path: str, settings: Settings) -> Iterator[Finding]:
    if not any(settings.get(f"Service.{key}") for key in _ACTIONS) and "Unit.SuccessAction" not in settings:
        yield Finding("unit", path, "it has no ExecStart: systemd refuses it")
    commands = len(settings.get("Service.ExecStart", ()))
    if commands > 1 and _last(settings, "Service.Type") != "oneshot":
        yield Finding("unit", path, f"it has {commands} ExecStart, but not Type=oneshot: systemd refuses it")
    for key in _COMMANDS:
        for command in settings.get(f"Service.{key}", ()):
            program = _program(command)
            if program is not None and not _is_there(view, program):
                package = _PACKAGES.get(posixpath.basename(program))
                hint = f": add {package} to packages" if package else ""
                yield Finding("unit", path, f"{key} runs {program}, which is not there{hint}")
    user = _last(settings, "Service.User")
    if user and not _is_user(view, user) and not _is_true(_last(settings, "Service.DynamicUser")):
        yield Finding("unit", path, f"it runs as {user}, whom /etc/passwd does not name")


def _is_user(view: View, user: str) -> bool:
    return (
        user.isdigit() or "%" in user or any(line.split(":")[0] == user for line in view.lines("/etc/passwd"))
    )


def _program(command: str) -> Optional[str]:
    """Return the program of a command line; None when it may fail ("-") or cannot be told before it runs."""
    match = re.match(r"([@\-:+!|]*)\s*(?:\"([^\"]+)\"|'([^']+)'|(\S+))", command)
    if match is None or "-" in match[1]:
        return None
    program = match[2] or match[3] or match[4]
    return None if "%" in program or "$" in program else program


def _is_there(view: View, program: str) -> bool:
    if program.startswith("/"):
        return view.resolve(program) is not None
    return any(view.resolve(f"{directory}/{program}") is not None for directory in _PROGRAM_PATH)


def _is_skipped(view: View, settings: Settings) -> bool:
    """Tell whether a condition keeps the unit from being started on this disk: its
    program may well be missing then.
    """
    for key in _CONDITIONS:
        for path in settings.get(f"Unit.{key}", ()):
            if path.startswith("/") and not path.startswith(RUNTIME) and view.resolve(path) is None:
                return True
    return False


def _is_true(value: Optional[str]) -> bool:
    return value is not None and value.lower() in ("1", "yes", "y", "true", "t", "on")


def _last(settings: Settings, key: str) -> Optional[str]:
    return settings[key][-1] if settings.get(key) else None


def _names(name: str) -> List[str]:
    """Return the names of files that can be the unit: an instance is its template, too."""
    stem, suffix = posixpath.splitext(name)
    prefix, at, instance = stem.partition("@")
    return [name, f"{prefix}@{suffix}"] if at and instance else [name]


def _find(view: View, name: str) -> Optional[str]:
    """Return the path of a unit's file with all links followed; None when there is none."""
    for candidate in _names(name):
        for directory in UNIT_PATH:
            found = view.resolve(f"{directory}/{candidate}")
            if found is not None:
                return found
    return None


def _is_masked(view: View, name: str) -> bool:
    return _find(view, name) == "/dev/null"


def _load(view: View, name: str) -> Optional[Settings]:
    """Return the settings of a unit and its drop-ins: "Section.Key" -> values; None when
    there is no unit or it is masked.
    """
    path = _find(view, name) or _linked(view, name)
    if path is None or path == "/dev/null":
        return None
    settings: Settings = {}
    _parse(decode(view.read(path)), settings)
    tops = tuple(f"{directory}/{candidate}.d/" for directory in UNIT_PATH for candidate in _names(name))
    # By their names, wherever they are; of two with one name that of the earlier directory replaces the
    # other: systemd.unit(5).
    drop_ins: Dict[str, str] = {}
    for file in view.drop_ins:
        if file.startswith(tops):
            drop_ins.setdefault(posixpath.basename(file), file)
    for _, file in sorted(drop_ins.items()):
        _parse(decode(view.read(file)), settings)
    return settings


def _linked(view: View, name: str) -> Optional[str]:
    """Return the file that an enabling link itself leads to: a unit beside the usual
    directories (systemctl link).
    """
    for entry in view.below(UNITS):
        if entry.kind is Kind.SYMLINK and entry.path.endswith(f"/{name}"):
            found = view.resolve(entry.path)
            if found is not None:
                return found
    return None


def _parse(text: str, settings: Settings) -> None:
    """Add the settings of a unit's file. An empty value takes back those before it: systemd.syntax(7)."""
    section = ""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        line = line.strip()
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
        elif line and line[0] not in "#;" and "=" in line:
            key, _, value = line.partition("=")
            values = settings.setdefault(f"{section}.{key.strip()}", [])
            if value.strip():
                values.append(value.strip())
            else:
                values.clear()
