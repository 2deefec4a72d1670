"""What a machine says of its own boot: failed units, where the time went, and the journal's errors."""

from __future__ import annotations

from dataclasses import dataclass

from ingot.pipeline.inspection.channel import Channel

# Seconds for all questions; an emulated machine that still boots takes some of them.
LIMIT = 120.0
SLOWEST, ERRORS, OF_A_UNIT = 8, 20, 5
_NEXT = b"\x1d"
SCRIPT = rf"""
exec 2>/dev/null </dev/null
systemctl list-units --state=failed --plain --no-legend --no-pager | while read -r unit rest; do
    echo "$unit ($(systemctl show --value --property=Result -- "$unit"))"
    journalctl --boot --unit="$unit" --lines={OF_A_UNIT} --output=cat --no-pager | sed 's/^/  /'
done
printf '\035'
systemctl list-jobs --plain --no-legend --no-pager | while read -r number unit kind state; do
    [ "$state" = running ] && echo "$unit"
done
printf '\035'
systemd-analyze time --no-pager | head -n 1
printf '\035'
systemd-analyze blame --no-pager | head -n {SLOWEST}
printf '\035'
journalctl --boot --priority=err --lines={ERRORS} --output=short-monotonic --no-pager --quiet
true
"""


@dataclass(frozen=True)
class Findings:
    """Lines of text as the machine's own programs print them.

    ``failed``: units, each with the end of its journal below it. ``pending``: units that still start.
    ``time``: how long the boot took. ``slowest``: the units that took longest. ``errors``: the journal's
    newest entries of priority err and above.
    """

    failed: tuple[str, ...]
    pending: tuple[str, ...]
    time: str
    slowest: tuple[str, ...]
    errors: tuple[str, ...]

    def text(self) -> str:
        """Return all that there is to say, for people."""
        parts = [
            ("failed units", self.failed or ("none",)),
            ("units that still start", self.pending),
            ("boot time", (self.time,) if self.time else ()),
            ("the slowest units", self.slowest),
            ("errors in the journal", self.errors or ("none",)),
        ]
        return "\n".join(
            line for title, lines in parts if lines for line in (f"{title}:", *(f"  {one}" for one in lines))
        )


def ask(channel: Channel, limit: float = LIMIT) -> Findings | None:
    """Ask a machine how its boot went; None when it does not answer within ``limit`` seconds.

    Raises CloudError when it has ended.
    """
    said = bytearray()
    if not channel.wait(limit) or channel.run(SCRIPT, said.extend, limit) is None:
        return None
    return read(bytes(said))


def read(said: bytes) -> Findings:
    """Return what a machine said to the questions of :func:`ask`."""
    failed, pending, time, slowest, errors = (_lines(part) for part in said.split(_NEXT, 4))
    return Findings(failed, pending, " ".join(time), tuple(line.strip() for line in slowest), errors)


def _lines(part: bytes) -> tuple[str, ...]:
    return tuple(line.rstrip() for line in part.decode(errors="replace").splitlines() if line.strip())
