"""A clone's inventory: the line on its console, read strictly, and how old it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ingot.aws.instances import console

# Seconds. The timer (ingot/bake/image/rootfs/ingot-inventory.timer) starts an inventory 15 to 16 minutes
# after the one before ended; the rest is for an inventory at idle priority on a busy clone.
FRESH = 1200.0
# Seconds after its boot before a clone on EBS takes its first inventory, which reads all of its volume while
# EBS still loads it: INGOT_INVENTORY_DELAY in ingot-inventory.service. At 16 MiB and 512 files a second
# reading takes a minute or two: the rest is what any inventory is given.
SETTLED = 300.0
# Seconds by which the clocks of clone and judge may differ from EC2's. EC2 refuses requests that are signed
# by a clock more than five minutes off:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/signature-v4-troubleshooting.html
SKEW = 300.0
KEYS = frozenset({"boot", "differs", "digest", "recipe", "sections", "sequence", "time", "uptime"})
DIGEST = re.compile(r"[0-9a-f]{64}")
BOOT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class CloneInventory:
    """What a clone says of itself. ``sections``: their digests; ``differs``: paths that the clone names.

    ``boot``: the kernel's id of the boot in which it was made, ``sequence``: its number in that boot, from 1;
    ``time``: Unix seconds by the clone's clock, ``uptime``: seconds since that boot, both of the moment when
    the inventory began.
    """

    recipe: str
    digest: str
    sections: Mapping[str, str]
    differs: tuple[str, ...]
    boot: str
    sequence: int
    time: int
    uptime: int

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> CloneInventory:
        """Read the JSON of a console line. Raises ValueError naming what is not as it should be."""
        if value.keys() != KEYS:
            odd = ", ".join(sorted(KEYS ^ value.keys()))
            raise ValueError(f"its fields are not those that this version of Ingot knows ({odd})")
        good = {
            "boot": isinstance(value["boot"], str) and BOOT.fullmatch(value["boot"]),
            "differs": _is_list_of_text(value["differs"]),
            "digest": _is_digest(value["digest"]),
            "recipe": isinstance(value["recipe"], str),
            "sections": isinstance(value["sections"], dict)
            and all(map(_is_digest, value["sections"].values())),
            **{key: type(value[key]) is int and value[key] >= 0 for key in ("sequence", "time", "uptime")},
        }
        wrong = sorted(key for key, right in good.items() if not right)
        if wrong:
            raise ValueError(f"it makes no sense: {', '.join(f'{key} {value[key]!r}' for key in wrong)}")
        return cls(**{**value, "differs": tuple(value["differs"])})

    def age(self, *, launched: float | None, now: float) -> float:
        """Return how many seconds ago the inventory was made, at most.

        ``launched``: when EC2 started the clone, Unix seconds; None: unknown. There are two clocks. By EC2's,
        a machine that was not restarted since its launch made this ``uptime`` seconds after it. The clone's
        own counts where it agrees with EC2's: it cannot be before the launch, nor in the future. The younger
        age is right: the first one is too high after a restart.
        """
        ages = []
        earliest = 0.0 if launched is None else launched + self.uptime
        if launched is not None:
            ages.append(now - earliest)
        if earliest - SKEW <= self.time <= now + SKEW:
            ages.append(now - self.time)
        return max(0.0, min(ages)) if ages else float("inf")


def newest(text: str) -> Mapping[str, Any] | None:
    """Return the JSON of the newest inventory on a console; None when there is none of the boot that the
    console shows last.

    A machine says which image it is at each boot; an inventory of an earlier boot says nothing about this
    one.
    """
    said = console.last_line(text, console.INVENTORY)
    booted = console.last_line(text, console.IMAGE)
    if said is None or (booted is not None and "boot" in booted and said.get("boot") != booted["boot"]):
        return None
    return said


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and DIGEST.fullmatch(value) is not None


def _is_list_of_text(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)
