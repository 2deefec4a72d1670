"""What a reviewer must not overlook: changes that let somebody do more than before."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ingot.diff.changes import ADDED, REMOVED, Change, Named
from ingot.diff.files.changes import RECIPE, File, FileChange
from ingot.diff.packages.changes import DOWNGRADED, PackageChange
from ingot.diff.ports import Port
from ingot.recipe.schema.capabilities import capability_names

# Who may do what is decided there. A change that an upgraded package brings is the package's; one of the
# recipe's is called out.
_SENSITIVE = re.compile(
    r"/etc/sudoers(\.d/.*)?|/(etc|usr/lib)/pam\.d/.*|/etc/pam\.conf|/etc/ssh/sshd_config(\.d/.*)?"
    r"|/etc/ld\.so\.preload|.*/\.ssh/authorized_keys2?|/etc/polkit-1/.*|/usr/share/polkit-1/rules\.d/.*"
    r"|/usr/local/share/ca-certificates/.*|/etc/apt/trusted\.gpg.*|(/etc/apt|/usr/share)/keyrings/.*"
    r"|/etc/apt/sources\.list.*|/etc/(ana)?cron[^/]*(/.*)?|/var/spool/cron/.*|/etc/security/.*"
    r"|/etc/doas\.conf|/etc/hosts\.equiv"
)
# Members of these can become root, or read what only root should: base-passwd's users-and-groups, and
# docker's documentation.
_STRONG_GROUPS = frozenset(
    {"root", "sudo", "wheel", "adm", "disk", "shadow", "docker", "lxd", "kmem", "staff"}
)
_NO_LOGIN = re.compile(r".*/(nologin|false|sync)")
# The kernel's own names (admin-guide/kernel-parameters), and systemd's, of what turns a protection off.
_FLAWS = (
    "mitigations|pti|kpti|mds|tsx_async_abort|retbleed|spectre_v2|spectre_v2_user|spectre_bhi|l1tf"
    "|mmio_stale_data|srbds|tsa|vmscape|reg_file_data_sampling|gather_data_sampling|spec_rstack_overflow"
    "|spec_store_bypass_disable|indirect_target_selection"
    r"|hardened_usercopy|ima_appraise|randomize_kstack_offset|kvm\.nx_huge_pages"
)
_WEAK = re.compile(
    rf"({_FLAWS}|iommu|intel_iommu|amd_iommu)=(off|0|n)"
    r"|no(smep|smap|kaslr|pti|kpti|pku|bti|spectre_v1|spectre_v2|spectre_bhi|spec_store_bypass_disable"
    r"|exec=off)"
    r"|(selinux|apparmor|enforcing|audit|ima_appraise|init_on_alloc|module\.sig_enforce)=(0|off|n)"
    r"|lockdown=none|security=(none)?|lsm=.*|ssbd=force[-_]off|vsyscall=(native|emulate|xonly)"
    r"|(rd)?init=.*|rd\.(break|shell|systemd\.debug[-_]shell).*|systemd\.debug[-_]shell.*"
    r"|systemd\.unit=(rescue|emergency|debug).*|single|emergency|rescue"
)
# Words that turn one on: it is called out when they are gone.
_GUARD = re.compile(
    rf"({_FLAWS})=(?!(off|0|n)$).*|nosmt(=force)?"
    r"|(selinux|apparmor|enforcing|audit|init_on_alloc|init_on_free|module\.sig_enforce)=(1|on|y)"
    r"|lockdown=(?!none$).+|security=(?!none$).+|lsm=.*|slab_nomerge|page_alloc\.shuffle=(1|y)"
    r"|vsyscall=none|ssbd=force[-_]on|debugfs=off"
)


def file_dangers(changes: Iterable[FileChange], owners: Mapping[int, str]) -> Iterator[str]:
    """Yield what files let somebody do more; ``owners`` names users by number."""
    for change in changes:
        new = change.after
        if (
            change.origin == RECIPE
            and change.present.type != "directory"
            and _SENSITIVE.fullmatch(change.path)
        ):
            yield f"{change.path}: {change.change}, it decides who may do what"
        if new is None:
            continue
        packaged = f"the package {change.package}" if change.package else "a package's script"
        by = "the recipe" if change.origin == RECIPE else packaged
        if new.type == "file" and (reason := _privilege(change, owners)):
            yield f"{change.path}: {reason}, by {by}"
        if _writable(new) and not (change.before and _writable(change.before)):
            yield f"{change.path}: every user may write it (mode {new.mode}), by {by}"


def _privilege(change: FileChange, owners: Mapping[int, str]) -> str | None:
    """Return which privilege of a file that is there is new, or that the recipe changed a privileged file."""
    old, new = change.before, change.present
    mode, former = new.bits, old.bits if old else 0
    gained = []
    if mode & 0o4000 and (not former & 0o4000 or (old and old.uid != new.uid)):
        gained.append(f"setuid to {owners.get(new.uid, new.uid)}")
    if mode & 0o2000 and (not former & 0o2000 or (old and old.gid != new.gid)):
        gained.append("setgid")
    if new.capability and (old is None or old.capability != new.capability):
        gained.append(f"capabilities {capability_names(new.capability)}")
    if gained:
        return f"{' and '.join(gained)} is new"
    privileged = mode & 0o6000 or new.capability
    if privileged and "content" in change.aspects and change.origin == RECIPE:
        return "a privileged program with another content"
    return None


def _writable(file: File) -> bool:
    bits = file.bits
    if not bits & 0o002 or file.type == "symlink":
        return False
    return file.type != "directory" or not bits & 0o1000


def account_dangers(
    users: Iterable[Change[Named]], before: Iterable[tuple[str, str]], after: Iterable[tuple[str, str]]
) -> Iterator[str]:
    """Yield users that gain a login or the rights of root, and new members of groups that give such rights.

    ``before`` and ``after`` are what :func:`strong_members` returns.
    """
    for user in users:
        if user.after is None:
            continue
        old = user.before or {}
        if user.after["uid"] == 0 and old.get("uid") != 0:
            yield f"user {user.name}: has the number of root"
        if _may_log_in(user.after) and not (user.before and _may_log_in(old)):
            yield f"user {user.name}: may log in now, with the shell {user.after['shell'] or '/bin/sh'}"
    for group, member in sorted({*after} - {*before}):
        yield f"user {member}: is a member of the group {group} now"


def _may_log_in(user: Mapping[str, Any]) -> bool:
    # An empty shell is /bin/sh: passwd(5).
    return not _NO_LOGIN.fullmatch(user["shell"])


def strong_members(
    users: Iterable[Mapping[str, Any]], groups: Iterable[Mapping[str, Any]]
) -> set[tuple[str, str]]:
    """Return (group, user) of the members of strong groups, those whose own group it is included.

    Groups go by their numbers: another name of the same one gives the same rights. A user with root's number
    needs no group.
    """
    groups = list(groups)
    strong = {group["gid"]: group["name"] for group in groups if group["name"] in _STRONG_GROUPS}
    found = {(strong[g["gid"]], member) for g in groups if g["gid"] in strong for member in g["members"]}
    return found | {(strong[u["gid"]], u["name"]) for u in users if u["uid"] != 0 and u["gid"] in strong}


def password_dangers(before: Mapping[str, bool], after: Mapping[str, bool]) -> Iterator[str]:
    """Yield users that have a password now; the mappings say of each user of shadow(5)
    whether one opens it.
    """
    for name in sorted(after):
        if after[name] and not before.get(name, False):
            yield f"user {name}: a password opens it now"


def passwords(shadow: bytes | None) -> dict[str, bool]:
    """Return of each user whether a password, or none at all, opens it."""
    rows = [line.split(":") for line in (shadow or b"").decode("utf-8", "replace").splitlines()]
    return {row[0]: row[1][:1] not in ("*", "!") for row in rows if len(row) > 1}


def port_dangers(changes: Iterable[Change[Named]]) -> Iterator[str]:
    """Yield ports that are open to the network and were not before."""
    for change in changes:
        if change.after is not None and change.change == ADDED and not change.after["local"]:
            yield f"port {change.name}: listens now ({change.after['place']})"


def port_changes(before: Mapping[Port, str], after: Mapping[Port, str]) -> list[Change[Named]]:
    """Compare ports, in their order; a place that moved is no change."""
    changes = []
    for port in sorted({*before} ^ {*after}):
        side = after if port in after else before
        value = {"place": side[port], "local": port.is_local}
        change = (ADDED, None, value) if port in after else (REMOVED, value, None)
        changes.append(Change(str(port), *change))
    return changes


def other_dangers(
    packages: Sequence[PackageChange],
    tests: Sequence[Change[Named]],
    hygiene: Sequence[Change[str]],
    boot: Sequence[Change[str]],
) -> Iterator[str]:
    """Yield downgrades, removed tests, findings newly let pass, and kernel protections newly turned off."""
    for package in packages:
        if package.change == DOWNGRADED:
            yield f"package {package.name}: downgraded from {package.versions[0]} to {package.versions[1]}"
    yield from (f"test {test.name!r}: removed" for test in tests if test.change == REMOVED)
    yield from (
        f"hygiene: {change.name} is let pass now: {change.after}" for change in hygiene if change.after
    )
    for change in boot:
        old, new = (
            dict.fromkeys(map(_word, str(side or "").split())) for side in (change.before, change.after)
        )
        yield from (
            f"kernel command line: {word}" for word in sorted({*new} - {*old}) if _WEAK.fullmatch(word)
        )
        yield from (
            f"kernel command line: {word} is gone"
            for word in sorted({*old} - {*new})
            if _GUARD.fullmatch(word)
        )


def _word(word: str) -> str:
    """Return a word of the kernel's command line with "_" for "-" in its name: they are the same there."""
    name, sign, value = word.partition("=")
    return name.replace("-", "_") + sign + value
