"""File capabilities: capabilities(7)."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from typing import Any

ATTRIBUTE = "security.capability"
# linux/capability.h, in the order of their numbers.
_CAPABILITIES = re.findall(
    r"\w+",
    "chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable net_bind_service net_broadcast"
    " net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin sys_boot sys_nice"
    " sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap mac_override mac_admin syslog wake_alarm"
    " block_suspend audit_read perfmon bpf checkpoint_restore",
)


def capability(file: Mapping[str, Any] | None) -> str:
    """Return a file's capabilities as hex of the attribute, "" without."""
    return "" if file is None else str(file.get("xattrs", {}).get(ATTRIBUTE, ""))


def capability_names(attribute: str) -> str:
    """Return the permitted capabilities of the attribute security.capability (hex) by name: capabilities(7), linux/capability.h."""
    data = bytes.fromhex(attribute)
    if len(data) < 12:
        return attribute
    low = struct.unpack_from("<I", data, 4)[0]
    high = struct.unpack_from("<I", data, 12)[0] if len(data) >= 20 else 0
    bits = low | high << 32
    names = [name for number, name in enumerate(_CAPABILITIES) if bits >> number & 1]
    return ", ".join(f"cap_{name}" for name in names) or attribute
