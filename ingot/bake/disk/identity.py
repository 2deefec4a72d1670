"""The identifiers of a disk, derived from the recipe's name alone.

Not from its digest: the kernel command line names the root partition, so an identifier that moved with every
change of the app would change the boot partition too.
"""

from __future__ import annotations

import uuid

# The namespace of all identifiers (RFC 9562, 5.5); itself a UUID of version 5 of the DNS namespace.
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "disk.ingot.invalid")


def identifier(name: str, what: str) -> uuid.UUID:
    """Return the fixed UUID of ``what`` (``disk``, ``root partition``, …) on the disk of
    the recipe ``name``.
    """
    return uuid.uuid5(_NAMESPACE, f"{name}/{what}")


def root_partition(name: str) -> uuid.UUID:
    """Return the PARTUUID of the root partition of the recipe ``name``."""
    return identifier(name, "root partition")


def root_partition_name(name: str) -> str:
    """Return the GPT name of the root partition: unique as well, for kernels before 6.9
    export the name but not the PARTUUID.
    """
    return f"ingot-root-{root_partition(name).hex[:12]}"
