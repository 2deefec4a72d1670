"""Groups and users, written into /etc/passwd, group, shadow and gshadow: same input, same bytes.

The formats are those of passwd(5), group(5), shadow(5) and gshadow(5). Passwords are locked ("!").
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Dict, List, Sequence

from ingot.bake.runtime.chroot import in_root
from ingot.errors import BakeError
from ingot.files import replacing
from ingot.spec import GroupSpec, UserSpec

FILES = ("passwd", "group", "shadow", "gshadow")


def _read(root: Path, name: str) -> List[List[str]]:
    file = in_root(root, f"/etc/{name}", follow=True)
    return [line.split(":") for line in file.read_text().splitlines() if line] if file.exists() else []


def _write(root: Path, name: str, rows: Sequence[Sequence[str]]) -> None:
    file = in_root(root, f"/etc/{name}", follow=True)
    mode = file.stat().st_mode & 0o7777 if file.exists() else 0o644
    owner = file.stat() if file.exists() else None
    with replacing(file) as new:
        new.write_text("".join(":".join(row) + "\n" for row in rows))
        if owner is not None:
            os.chown(new, owner.st_uid, owner.st_gid)
        new.chmod(mode)


def ids(root: Path, name: str) -> Dict[str, int]:
    """Return the numbers by name of ``name``, "passwd" or "group", in the image."""
    return {row[0]: int(row[2]) for row in _read(root, name)}


def add_accounts(root: Path, groups: Sequence[GroupSpec], users: Sequence[UserSpec], *, epoch: int) -> None:
    """Add the recipe's groups and users, sorted by name; make the home directories.

    One that a package made already is kept when its number is the same. Raises BakeError otherwise.
    """
    if not groups and not users:
        return
    tables = {name: _read(root, name) for name in FILES}
    for group in sorted(groups, key=lambda group: group.name):
        _add_group(tables, group)
    for user in sorted(users, key=lambda user: user.name):
        _add_user(tables, user, day=epoch // 86400)
    for name in FILES:
        _write(root, name, tables[name])
    for user in sorted(users, key=lambda user: user.home):
        _make_home(root, user, gid=ids(root, "group")[user.group])


def _taken(rows: List[List[str]], kind: str, name: str, number: int) -> bool:
    """Tell whether ``name`` is there already with ``number``; raise BakeError when either
    is taken by another.
    """
    for row in rows:
        if row[0] == name and int(row[2]) == number:
            return True
        if row[0] == name or int(row[2]) == number:
            raise BakeError(
                f"{kind} {name} ({number}) cannot be added: a package made {kind} {row[0]} ({row[2]})",
                hint="choose another name or number in the recipe",
            )
    return False


def _add_group(tables: Dict[str, List[List[str]]], group: GroupSpec) -> None:
    if not _taken(tables["group"], "group", group.name, group.gid):
        tables["group"].append([group.name, "x", str(group.gid), ""])
        tables["gshadow"].append([group.name, "!", "", ""])


def _add_user(tables: Dict[str, List[List[str]]], user: UserSpec, *, day: int) -> None:
    name = user.name
    gid = _row(tables["group"], user.group, name)[2]
    if not _taken(tables["passwd"], "user", name, user.uid):
        tables["passwd"].append([name, "x", str(user.uid), gid, user.comment, user.home, user.shell])
        tables["shadow"].append([name, "!", str(day), "0", "99999", "7", "", "", ""])
    for other in sorted(user.groups):
        for table in ("group", "gshadow"):
            members = _row(tables[table], other, name)
            names = [member for member in members[3].split(",") if member]
            members[3] = ",".join([*names, *([] if name in names else [name])])


def _row(rows: List[List[str]], group: str, user: str) -> List[str]:
    for row in rows:
        if row[0] == group:
            return row
    raise BakeError(
        f"user {user}: there is no group {group} in the image",
        hint="declare it under `groups:` in the recipe",
    )


def _make_home(root: Path, user: UserSpec, *, gid: int) -> None:
    place = in_root(root, user.home)
    if user.home == "/nonexistent" or place.exists():
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    place.mkdir()
    os.chown(place, user.uid, gid)
    place.chmod(0o700)  # as Debian's adduser makes them: DIR_MODE, adduser.conf(5)
