"""What a bake may do on this machine: be root, or become root in a user namespace, and mount there.

An ordinary user's layers hold files of subordinate ids (subuid(5)). Only inside the user namespace do they
belong to its root, so they are removed there as well (:func:`remove_tree`). ``python -m
ingot.bake.runtime.rights`` does nothing but check.
"""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import sys
from pathlib import Path
from typing import List, Optional

from ingot.errors import IngotError, MissingRightError
from ingot.process import require, run

IDS = 65536  # an image has the ids 0 to 65535: nobody is 65534 (Debian policy 9.2.2)
PROBE = "mount -t tmpfs ingot /tmp && cat /proc/self/uid_map && echo && cat /proc/self/gid_map"
KEPT = "the root directory is kept in"
TOO_FEW = "too few ids"
# What switches user namespaces off, where the kernel has it, with the value that does: user_namespaces(7),
# Debian's kernel patch, Ubuntu's AppArmor. The last lets a program make a namespace and gives it no rights
# there.
SWITCHES = (
    ("user/max_user_namespaces", "0", "63000"),
    ("kernel/unprivileged_userns_clone", "0", "1"),
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),
)


def own_mounts() -> List[str]:
    """Return the words to put before a command so that it runs as root and with mounts of its own.

    Raises MissingToolError.
    """
    unshare = require("unshare", needed_for="give the bake mounts of its own")
    words = [unshare, "--mount", "--propagation=private"]
    if os.geteuid() == 0:
        return words
    for tool in ("newuidmap", "newgidmap"):
        require(tool, needed_for="bake without being root")
    return [*words, "--user", "--map-root-user", "--map-auto"]


def check_rights() -> None:
    """Find out by trying whether this process can bake.

    Raises MissingRightError or MissingToolError with what to do about it.
    """
    words = own_mounts()
    # First without the ids: where namespaces are switched off, unshare's helper for them would wait for ever
    # (util-linux 2.38).
    bare = [word for word in words if word not in ("--map-root-user", "--map-auto")]
    probe = run([*bare, "true"], check=False)
    if probe.returncode == 0:
        probe = run([*words, "sh", "-c", PROBE], check=False)
    if probe.returncode == 0:
        uids, _, gids = probe.stdout.partition("\n\n")
        if _covers_ids(uids) and _covers_ids(gids):
            return
        said = TOO_FEW
    else:
        said = probe.stderr.strip() or f"exit status {probe.returncode}"
    raise explain(said, user=None if os.geteuid() == 0 else _user_name())


def explain(
    said: str, *, user: Optional[str], etc: Path = Path("/etc"), proc: Path = Path("/proc/sys")
) -> MissingRightError:
    """Return the error for a probe that failed with the words ``said``. ``user`` None: as root."""
    if user is None:
        return MissingRightError(
            f"root may not mount anything on this machine: {said}",
            hint="in a container, give it the right to: docker run --privileged",
        )
    if said == TOO_FEW:
        return MissingRightError(
            f"{user} has too few subordinate ids in {etc}/subuid and {etc}/subgid; a bake needs {IDS} in one"
            " range",
            hint=f"take {user}'s lines out of both files, then: {_give_ids(user, etc)}",
        )
    files = [file for file in (etc / "subuid", etc / "subgid") if not _has_range(file, user)]
    if files:
        return MissingRightError(
            f"{user} has no subordinate ids in {' and '.join(map(str, files))}; a bake without being root"
            f" needs {IDS}",
            hint=f"run: {_give_ids(user, etc)}",
        )
    for name, off, on in SWITCHES:
        if _read(proc / name).strip() == off:
            setting = name.replace("/", ".")
            return MissingRightError(
                f"this machine lets only root create user namespaces ({setting} = {off}): {said}",
                hint=f"run: sudo sysctl -w {setting}={on}   (or run the same command as root, with sudo -E)",
            )
    if said.startswith(("newuidmap: write", "newgidmap: write")):
        return MissingRightError(
            f"newuidmap and newgidmap may not give {user} its subordinate ids: {said}",
            hint="they have lost their privileges; run: sudo apt-get install --reinstall uidmap",
        )
    return MissingRightError(
        f"{user} cannot create a user namespace with mounts of its own: {said}",
        hint="run the same command as root, with sudo -E",
    )


def remove_tree(path: Path) -> None:
    """Remove a directory with all that is in it, or a file; nothing when there is none.

    Files of subordinate ids go as well.
    """
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except PermissionError:
        if os.geteuid() == 0:
            raise
        run([*own_mounts(), "rm", "--recursive", "--force", "--", path])


def how_to_inspect(root: Path) -> str:
    """Return where the root directory of a failed bake is kept, and the commands that enter and remove it."""
    words = own_mounts()
    inside = [
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "--ipc",
        "--uts",
        "--net",
        f"--root={root}",
        "--wd=/",
        "/bin/sh",
    ]
    remove = ["rm", "--recursive", "--force", str(root)]
    if os.geteuid() != 0:  # files of subordinate ids
        remove = [*words, *remove]
    enter, remove_it = (" ".join(map(shlex.quote, command)) for command in ([*words, *inside], remove))
    return f"{KEPT} {root}\n  enter it:  {enter}\n  remove it: {remove_it}"


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # subuid(5) takes the number as well
        return str(os.geteuid())


def _covers_ids(mapping: str) -> bool:
    """Tell whether a uid_map or gid_map has every id that an image may have:
    user_namespaces(7), "inside outside count".
    """
    end = 0
    for first, count in sorted((int(line.split()[0]), int(line.split()[2])) for line in mapping.splitlines()):
        if first > end:
            break
        end = first + count
    return end >= IDS


def _has_range(file: Path, user: str) -> bool:
    owners = {line.split(":")[0] for line in _read(file).splitlines()}
    return bool(owners & {user, str(os.geteuid())})


def _give_ids(user: str, etc: Path) -> str:
    """Return the command that gives ``user`` a range that nobody has yet."""
    taken = [100000]  # where useradd begins: login.defs(5), SUB_UID_MIN
    for line in (_read(etc / "subuid") + "\n" + _read(etc / "subgid")).splitlines():
        _, first, count = [*line.split(":"), "", "", ""][:3]
        if first.isdigit() and count.isdigit():
            taken.append(int(first) + int(count))
    ids = f"{max(taken)}-{max(taken) + IDS - 1}"
    return f"sudo usermod --add-subuids {ids} --add-subgids {ids} {user}"


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:  # this kernel or this machine has no such file
        return ""


if __name__ == "__main__":
    try:
        check_rights()
    except IngotError as error:
        sys.stderr.write(f"ingot: {error}\n")
        sys.exit(error.exit_code)
