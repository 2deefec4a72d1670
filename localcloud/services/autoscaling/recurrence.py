"""When a recurring action runs: the five fields of a crontab, by the clock of a time zone.

Sources: API reference, PutScheduledUpdateGroupAction ("[Minute] [Hour] [Day_of_Month] [Month_of_Year]
[Day_of_Week]"); crontab(5): with both a day of the month and a day of the week, either of them is enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
# 29 February comes after eight years at the latest (1896, 1904; 2096, 2104).
LONGEST_WAIT = timedelta(days=8 * 366)


@dataclass(frozen=True)
class Recurrence:
    """The times at which an action runs. ``days`` and ``weekdays`` are None where the field is ``*``."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int] | None
    months: frozenset[int]
    weekdays: frozenset[int] | None
    zone: ZoneInfo

    def after(self, moment: datetime) -> datetime | None:
        """Return the first time later than ``moment``, in UTC; None when there is none.

        A time that the clock leaves out in spring is the one an hour later.
        """
        day = moment.astimezone(self.zone).date()
        last = day + LONGEST_WAIT
        while day <= last:
            if self._on(day.month, day.day, day.isoweekday() % 7):
                for hour in sorted(self.hours):
                    for minute in sorted(self.minutes):
                        local = datetime.combine(day, time(hour, minute), self.zone)
                        if local.astimezone(UTC) > moment:
                            return local.astimezone(UTC)
            day += timedelta(days=1)
        return None

    def _on(self, month: int, day: int, weekday: int) -> bool:
        if month not in self.months:
            return False
        if self.days is not None and self.weekdays is not None:
            return day in self.days or weekday in self.weekdays
        return (self.days is None or day in self.days) and (self.weekdays is None or weekday in self.weekdays)


def parse(text: str, zone: ZoneInfo) -> Recurrence:
    """Return what a crontab's five fields say; raises ValueError when they are none."""
    minute, hour, day, month, weekday = text.split()
    return Recurrence(
        minutes=_values(minute, 0, 59),
        hours=_values(hour, 0, 23),
        days=None if day == "*" else _values(day, 1, 31),
        months=_values(month, 1, 12, MONTHS),
        # 7 is Sunday, too.
        weekdays=None if weekday == "*" else frozenset(n % 7 for n in _values(weekday, 0, 7, WEEKDAYS)),
        zone=zone,
    )


def _values(field: str, low: int, high: int, names: tuple[str, ...] = ()) -> frozenset[int]:
    """Return the numbers of a field: ``*``, a number, a name, a range, a step, or a list of these."""

    def number(text: str) -> int:
        value = names.index(text.upper()) + low if text.upper() in names else _digits(text)
        if not low <= value <= high:
            raise ValueError(f"{text} is not from {low} to {high}")
        return value

    found: set[int] = set()
    for part in field.split(","):
        span, stepped, step = part.partition("/")
        first, ranged, last = span.partition("-")
        if span == "*":
            start, end = low, high
        elif stepped and not ranged:
            raise ValueError(f"{part} is a step of no range")
        else:
            start = number(first)
            end = number(last) if ranged else start
        every = _digits(step) if stepped else 1
        if start > end or every < 1:
            raise ValueError(f"{part} holds nothing")
        found.update(range(start, end + 1, every))
    return frozenset(found)


def _digits(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{text!r} is not a number")
    return int(text)
