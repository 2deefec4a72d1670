"""File capabilities: the text form of cap_from_text(3), such as ``cap_net_raw+ep``, and the kernel's own."""

from __future__ import annotations

import re
import struct

from ingot.recipe.syntax.explain import close_to, wrong

# linux/capability.h: the number of a capability is its place here.
NAMES = (
    "cap_chown",
    "cap_dac_override",
    "cap_dac_read_search",
    "cap_fowner",
    "cap_fsetid",
    "cap_kill",
    "cap_setgid",
    "cap_setuid",
    "cap_setpcap",
    "cap_linux_immutable",
    "cap_net_bind_service",
    "cap_net_broadcast",
    "cap_net_admin",
    "cap_net_raw",
    "cap_ipc_lock",
    "cap_ipc_owner",
    "cap_sys_module",
    "cap_sys_rawio",
    "cap_sys_chroot",
    "cap_sys_ptrace",
    "cap_sys_pacct",
    "cap_sys_admin",
    "cap_sys_boot",
    "cap_sys_nice",
    "cap_sys_resource",
    "cap_sys_time",
    "cap_sys_tty_config",
    "cap_mknod",
    "cap_lease",
    "cap_audit_write",
    "cap_audit_control",
    "cap_setfcap",
    "cap_mac_override",
    "cap_mac_admin",
    "cap_syslog",
    "cap_wake_alarm",
    "cap_block_suspend",
    "cap_audit_read",
    "cap_perfmon",
    "cap_bpf",
    "cap_checkpoint_restore",
)
XATTR = "security.capability"
_CLAUSE = re.compile(r"([a-z_,]+)([+=][eip]+)")
# VFS_CAP_REVISION_2, and the flag that makes the permitted set effective as the program starts.
_REVISION, _EFFECTIVE = 0x02000000, 0x000001
_EXPECTED = "capabilities and their sets, such as cap_net_bind_service+ep"


def check_capabilities(text: str) -> str:
    """Return the text when it names capabilities; raise with words for a person when it does not."""
    capability_xattr(text)
    return text


def capability_xattr(text: str) -> bytes:
    """Return the value of the extended attribute security.capability: struct vfs_cap_data, version 2.

    Of the text form: clauses of names with ``+`` or ``=`` and the sets e, i and p. The effective set is one
    bit for all in a file, so every capability must be in it or none (capabilities(7), "File capability
    extended attribute versioning").
    """
    sets = {"e": 0, "i": 0, "p": 0}
    for clause in text.split():
        match = _CLAUSE.fullmatch(clause)
        if match is None:
            raise wrong(f"capabilities {text!r}", _EXPECTED)
        mask = sum({1 << _number(name) for name in match[1].split(",")})
        for letter in match[2][1:]:
            sets[letter] |= mask
    if not any(sets.values()):
        raise wrong(f"capabilities {text!r}", _EXPECTED)
    if sets["e"] and sets["e"] != sets["i"] | sets["p"]:
        raise wrong(
            f"capabilities {text!r}, some effective and some not", "all of them effective (e), or none"
        )
    magic = _REVISION | (_EFFECTIVE if sets["e"] else 0)
    low, high = (tuple(sets[k] >> shift & 0xFFFFFFFF for k in ("p", "i")) for shift in (0, 32))
    return struct.pack("<IIIII", magic, *low, *high)


def capability_names(attribute: str) -> str:
    """Return the names of the permitted capabilities of the extended attribute (in hex).

    Itself where it has none.
    """
    data = bytes.fromhex(attribute)
    if len(data) < 12:
        return attribute
    low = struct.unpack_from("<I", data, 4)[0]
    high = struct.unpack_from("<I", data, 12)[0] if len(data) >= 20 else 0
    bits = low | high << 32
    names = [name for number, name in enumerate(NAMES) if bits >> number & 1]
    return ", ".join(names) or attribute


def _number(name: str) -> int:
    if name not in NAMES:
        raise wrong(f"the capability {name!r}", "one of capabilities(7)", close_to(name, NAMES))
    return NAMES.index(name)
