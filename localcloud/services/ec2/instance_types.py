"""Instance types.

What AWS documents of each (moto ships DescribeInstanceTypes' answers), and what this machine can give.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moto.ec2.models.instance_types import INSTANCE_TYPES

# No guest gets more memory than this share of the host's: clones stand in for instances, not for their size.
LARGEST_SHARE = 0.25
LEAST_MIB = 512
# Disks of an instance store are smaller here, too: making a file system on one takes its time where the
# machine is emulated.
LARGEST_STORE, GB = 4 << 30, 10**9


@dataclass(frozen=True)
class InstanceType:
    """An instance type as AWS describes it."""

    name: str
    memory_mib: int
    cpus: int
    architectures: tuple[str, ...]
    boot_modes: tuple[str, ...]
    burstable: bool = False
    stores: tuple[int, ...] = ()
    """The NVMe disks of its instance store, in bytes."""
    root_devices: tuple[str, ...] = ("ebs",)


def instance_type(name: str) -> InstanceType | None:
    """Return what AWS says of an instance type; None for one that it does not have."""
    known = INSTANCE_TYPES.get(name)
    if known is None:
        return None
    return InstanceType(
        name,
        int(known["MemoryInfo"]["SizeInMiB"]),
        int(known["VCpuInfo"]["DefaultVCpus"]),
        tuple(known["ProcessorInfo"]["SupportedArchitectures"]),
        tuple(known.get("SupportedBootModes", ("legacy-bios",))),
        bool(known.get("BurstablePerformanceSupported")),
        _stores(known.get("InstanceStorageInfo") or {}),
        tuple(known.get("SupportedRootDeviceTypes", ("ebs",))),
    )


def _stores(storage: Mapping[str, Any]) -> tuple[int, ...]:
    if storage.get("NvmeSupport") not in ("required", "supported"):
        return ()
    sizes = [(int(disk["SizeInGB"]), int(disk["Count"])) for disk in storage.get("Disks", ())]
    return tuple(min(size * GB, LARGEST_STORE) for size, count in sizes for _ in range(count))


def local_size(kind: InstanceType, accelerator: str) -> tuple[int, int]:
    """Return the memory in MiB and the processors that a machine of that type gets here.

    Emulated (``accelerator`` tcg), a burstable type gets half of this machine's processors at most: there are
    several clones of it as a rule, and processors that wait for each other cost twice. (On EC2 its baseline
    is a fifth to two fifths of each: EC2 User Guide, "Burstable".)
    """
    cpus = len(os.sched_getaffinity(0))
    if accelerator == "tcg" and kind.burstable:
        cpus = max(1, cpus // 2)
    host_mib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (1 << 20)
    largest = max(LEAST_MIB, int(host_mib * LARGEST_SHARE))
    return min(kind.memory_mib, largest), min(kind.cpus, cpus)
