"""dpkg's database, written for packages that the engine unpacked itself: dpkg goes on
from there as if it had done it.

The layout is that of dpkg 1.21 and later (``/var/lib/dpkg/info/format`` 1), see dpkg(1) and deb-triggers(5).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Dict, Iterable, List, Mapping, Optional, Set, Tuple

from ingot.bake.packages.deb import Control, LockedDeb, extract
from ingot.bake.runtime.chroot import in_root
from ingot.deb822 import names_in
from ingot.errors import BakeError

ADMIN = "var/lib/dpkg"


def info_name(package: LockedDeb, control: Control) -> str:
    """Return how the files of a package are called in dpkg's info directory."""
    same = control.fields.get("multi-arch") == "same"
    return f"{package.name}:{package.architecture}" if same else package.name


def create_database(root: Path) -> None:
    """Create an empty database."""
    admin = root / ADMIN
    for name in ("info", "updates", "triggers", "alternatives", "parts"):
        (admin / name).mkdir(parents=True, exist_ok=True)
    for name in (
        "status",
        "available",
        "diversions",
        "statoverride",
        "triggers/Unincorp",
        "triggers/Lock",
        "lock",
    ):
        (admin / name).touch()
    (admin / "info" / "format").write_text("1\n")


def record(root: Path, unpacked: Iterable[Tuple[LockedDeb, Control, List[str]]]) -> None:
    """Enter packages with their controls and paths as unpacked, not yet configured."""
    packages = sorted(unpacked, key=lambda item: item[0].name)
    status = []
    triggers: Dict[str, Set[str]] = {}
    for package, control, paths in packages:
        _write_info(root, info_name(package, control), control, paths)
        status.append(_status(root, package, control))
        for line in control.lines("triggers"):
            _add_interest(triggers, line, info_name(package, control))
    _activate(root, (path for _, _, paths in packages for path in paths))
    _write_triggers(root, triggers)
    with _place(root, "status").open("a") as file:
        file.write("".join(paragraph + "\n" for paragraph in status))


def _write_info(root: Path, name: str, control: Control, paths: List[str]) -> None:
    info = _place(root, "info")
    text = "".join(path + "\n" for path in paths)
    _write(info / f"{name}.list", text.encode(errors="surrogateescape"))
    known = {path[1:].encode(errors="surrogateescape") for path in paths}
    for member, (mode, content) in control.members.items():
        target = info / f"{name}.{member}"
        # `dpkg --verify` would miss what the recipe drops (manual pages, …).
        _write(target, _known_sums(content, known) if member == "md5sums" else content)
        target.chmod(mode_of(mode))


def mode_of(mode: int) -> int:
    """Return the mode that a file of a control part has in dpkg's database."""
    return 0o755 if mode & 0o111 else 0o644


def _place(root: Path, name: str) -> Path:
    """Return where a part of the database is: a package may have put a link in its place,
    which leads nowhere outside of the image.
    """
    return in_root(root, f"/{ADMIN}/{name}", follow=True)


def _write(file: Path, content: bytes) -> None:
    if file.is_symlink():
        file.unlink()
    file.write_bytes(content)


def _known_sums(content: bytes, known: Set[bytes]) -> bytes:
    return b"".join(line for line in content.splitlines(True) if line.rstrip(b"\n")[34:] in known)


def _status(root: Path, package: LockedDeb, control: Control) -> str:
    """Return the paragraph of a package in the status file."""
    first, _, rest = control.text.partition("\n")
    if not first.startswith("Package:"):
        raise BakeError(f"package {package}: its control file does not begin with its name")
    lines = [
        f"{path} newconffile {flag}" if flag else f"{path} {_md5(in_root(root, path, follow=True))}"
        for path, flag in control.conffiles
    ]
    conffiles = "Conffiles:\n" + "".join(f" {line}\n" for line in lines) if lines else ""
    return f"{first}\nStatus: install ok unpacked\n{rest}{conffiles}"


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()  # noqa: S324 - dpkg's format, no safeguard


def _add_interest(triggers: Dict[str, Set[str]], line: str, package: str) -> None:
    """Enter what a line of a package's triggers file says it is interested in.

    ``package`` is named with its architecture where several may be installed, as dpkg writes it.
    """
    words = line.split()
    if words[0].startswith("interest") and len(words) > 1:
        noawait = "/noawait" if words[0] == "interest-noawait" else ""
        if not words[1].startswith("/") and "/" in words[1]:
            raise BakeError(f"package {package}: its trigger {words[1]} has no name of a trigger")
        triggers.setdefault(words[1], set()).add(package + noawait)


def _write_triggers(root: Path, triggers: Dict[str, Set[str]]) -> None:
    of_files = _of_files(root)
    for name, interested in sorted(triggers.items()):
        if name.startswith("/"):
            of_files += [f"{name} {package}" for package in sorted(interested)]
        else:
            known = _place(root, f"triggers/{name}")
            recorded = known.read_text().splitlines() if known.exists() else []
            known.write_text("".join(f"{package}\n" for package in sorted({*recorded, *interested})))
    _place(root, "triggers/File").write_text("".join(f"{line}\n" for line in of_files))


def _of_files(root: Path) -> List[str]:
    """Return the lines of who is interested in files: "/path package"."""
    file = _place(root, "triggers/File")
    return file.read_text().splitlines() if file.exists() else []


def _activate(root: Path, paths: Iterable[str]) -> None:
    """Tell dpkg which packages that are there wait for such files as ``paths``, as it
    does itself when it unpacks (deb-triggers(5)).
    """
    interests = {line.split()[0] for line in _of_files(root)}
    found = set()
    for path in paths if interests else ():
        while path not in ("", "/"):
            if path in interests:
                found.add(path)
            path = path.rpartition("/")[0]
    if found:
        with _place(root, "triggers/Unincorp").open("a") as file:
            file.write("".join(f"{path} -\n" for path in sorted(found)))


def diverted(root: Path) -> Dict[str, str]:
    """Return the paths that packages there divert, and which package does (":" for an administrator).

    The file has three lines for each: from, to, whose it is (dpkg-divert(1)).
    """
    file = _place(root, "diversions")
    lines = file.read_text(errors="surrogateescape").splitlines() if file.exists() else []
    return dict(zip(lines[::3], lines[2::3]))  # noqa: B905 - not in Python 3.9


def settle(
    root: Path, packages: Dict[str, LockedDeb], controls: Mapping[str, Control], paths: Dict[str, List[str]]
) -> None:
    """Where two packages hold the same file, let the one win that replaces the other (Debian Policy 7.6).

    The winner's file is put back and taken from the loser's list in ``paths``. Raises BakeError when neither
    replaces the other.
    """
    holder: Dict[str, str] = {}
    for name in sorted(paths):
        for path in paths[name]:
            other = holder.setdefault(path, name)
            if other == name or in_root(root, path, follow=True).is_dir():
                continue
            winner = _winner(name, other, controls)
            if winner is None:
                raise BakeError(f"packages {packages[other]} and {packages[name]} both hold {path}")
            loser = name if winner == other else other
            paths[loser] = [kept for kept in paths[loser] if kept != path]
            extract(packages[winner], root, [path])
            holder[path] = winner


def _winner(one: str, other: str, controls: Mapping[str, Control]) -> Optional[str]:
    for name, replaced in ((one, other), (other, one)):
        if replaced in names_in(controls[name].fields.get("replaces", "")):
            return name
    # Packages of one source for several architectures may hold the same file, byte for byte; we have one
    # architecture.
    return None
