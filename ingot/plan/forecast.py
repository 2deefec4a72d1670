"""How long an instance refresh takes, and what it costs meanwhile: a simulation of what the Auto Scaling user
guide says of it ("How an instance refresh works", "Instance refresh default values", "Add checkpoints",
"Replace root volumes during instance refresh").

It knows percentages, warm-up, checkpoints, health checks and EC2's rate of launches. It does not know what
Auto Scaling itself takes between two looks at a group, nor capacity that EC2 has not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from math import ceil, floor
from typing import Any

# Seconds from the launch until EC2 says `running`, and until the app answers: a small instance from an image
# of Ingot's kind was reachable 25.8 s after its launch (docs/plan.md#how-long-a-rollout-takes).
RUNNING, ANSWERS = 10.0, 30.0
# Seconds to replace a root volume: the machine restarts from the new one, and boots.
IN_PLACE = 60.0
# EC2 developer guide, "Request throttling for the Amazon EC2 API": instances of RunInstances, the bucket and
# what it is refilled by in a second.
LAUNCHES, LAUNCHES_A_SECOND = 1000, 2.0
# Elastic Load Balancing: what a target group does unless its template says otherwise. Seconds; checks in a
# row.
INTERVAL, CHECKS, DRAINING = 30.0, 5, 300.0
SIZES = (1, 10, 100, 1000)
POINTS = 60  # of a curve: more are not to be told apart


@dataclass(frozen=True)
class Course:
    """How clones are replaced. ``least`` and ``most`` in percent of the group; times in seconds.

    ``in_place``: running clones are given new root volumes.
    """

    name: str
    least: int
    most: int
    in_place: bool = False
    warm_up: float = 0.0
    checkpoints: tuple[int, ...] = ()
    delay: float = 3600.0
    bake: float = 0.0


@dataclass(frozen=True)
class Times:
    """What a clone takes, in seconds: from its launch until it runs, until the load balancer finds it
    healthy; from its deregistration until it is gone.
    """

    running: float = RUNNING
    healthy: float = ANSWERS + INTERVAL * CHECKS
    draining: float = DRAINING
    in_place: float = IN_PLACE + INTERVAL * CHECKS


@dataclass(frozen=True)
class Forecast:
    """A refresh of so many clones: its seconds, how many clones there are at the most, and the hours of those
    beyond the group's size.

    ``usd``: what these hours cost; None where the type's price is not known. ``curve``: seconds, and how many
    clones of the new image serve by then.
    """

    course: str
    clones: int
    seconds: float
    most: int
    extra_hours: float
    usd: float | None
    curve: tuple[tuple[float, int], ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "course": self.course,
            "clones": self.clones,
            "seconds": self.seconds,
            "most": self.most,
            "extra_hours": self.extra_hours,
            "usd": self.usd,
            "curve": [list(point) for point in self.curve],
        }

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Forecast:
        """Return what :meth:`to_json` made ``plain`` of."""
        usd = plain["usd"]
        return cls(
            str(plain["course"]),
            int(plain["clones"]),
            float(plain["seconds"]),
            int(plain["most"]),
            float(plain["extra_hours"]),
            None if usd is None else float(usd),
            tuple((float(at), int(count)) for at, count in plain["curve"]),
        )


def courses(given: Course) -> tuple[Course, ...]:
    """Return the template's course, and others that it could have, all else being equal."""
    others = (
        replace(given, name="all new clones first", least=100, most=200, in_place=False),
        replace(given, name="a tenth more at a time", least=100, most=110, in_place=False),
        replace(given, name="a tenth away at a time", least=90, most=100, in_place=False),
        replace(given, name="new root volumes, a tenth at a time", least=90, most=100, in_place=True),
    )
    shape = (given.least, given.most, given.in_place)
    return (given, *(other for other in others if (other.least, other.most, other.in_place) != shape))


def forecasts(given: Course, times: Times, clones: int, price: float | None) -> Iterator[Forecast]:
    """Give the forecasts of the group as large as it is, then of SIZES, for each course.

    ``price``: USD for an hour of a clone.
    """
    for course in courses(given):
        for size in sorted({clones, *SIZES} - {0}):
            yield forecast(course, times, size, price)


def forecast(course: Course, times: Times, clones: int, price: float | None = None) -> Forecast:
    """Return how a refresh of so many clones goes."""
    run = _Replacement(course, times, clones)
    while run.acts() or run.goes_on():
        pass
    seconds, curve = run.now + course.bake, run.curve
    step = max(1, ceil(len(curve) / POINTS))
    thinned = (*curve[:-1:step], curve[-1])
    hours = run.extra / 3600
    return Forecast(
        course.name, clones, seconds, run.most, hours, None if price is None else hours * price, thinned
    )


class _Replacement:
    """The clones of a group while they are replaced; ``now`` goes from one event to the next."""

    def __init__(self, course: Course, times: Times, clones: int) -> None:
        self._course, self._times, self._clones = course, times, clones
        self._low = ceil(clones * course.least / 100)
        self._high = clones if course.most <= 100 else max(clones + 1, floor(clones * course.most / 100))
        marks = (ceil(clones * percent / 100) for percent in course.checkpoints)
        self._marks = sorted({mark for mark in marks if 0 < mark < clones})
        self._old, self._new = clones, 0
        self._starting: list[float] = []  # when each counts
        self._leaving: list[float] = []  # when each is gone
        self._tokens, self._filled, self._short = float(LAUNCHES), 0.0, False
        self._held: float | None = None
        self.now, self.extra, self.most = 0.0, 0.0, clones
        self.curve: list[tuple[float, int]] = [(0.0, 0)]

    @property
    def _alive(self) -> int:
        """Count the clones of the group; those that leave are no longer of it."""
        return self._old + self._new + len(self._starting)

    def acts(self) -> bool:
        """Do what can be done now; return whether anything was."""
        replaced = self._clones - self._old
        allowed = self._allowed(replaced)
        ready = self._old + self._new
        spare = ready - self._low
        if self._high == self._clones and spare <= 0 and ready == self._clones:
            spare = 1  # percentages that leave no room: one at a time
        going = max(0, min(self._old, spare, allowed))
        self._old -= going
        for _ in range(going):
            if self._course.in_place:
                heappush(self._starting, self.now + max(self._times.in_place, self._course.warm_up))
            else:
                heappush(self._leaving, self.now + self._times.draining)
        launched = 0 if self._course.in_place else self._launches(allowed - going)
        self.most = max(self.most, self._alive + len(self._leaving))
        return going + launched > 0

    def _allowed(self, replaced: int) -> int:
        """Return how many may be replaced before the next checkpoint; none while one is waited for."""
        following = next((mark for mark in self._marks if mark > replaced), self._clones)
        if replaced not in self._marks:
            return following - replaced
        if self._held is None and not self._starting:  # those that were replaced serve: it is reached
            self._held = self.now + self._course.delay
        if self._held is None or self.now < self._held:
            return 0
        self._marks.remove(replaced)
        self._held = None
        return following - replaced

    def _launches(self, allowed: int) -> int:
        beyond = max(0, min(self._high - self._clones, self._old, allowed))
        self._tokens = min(LAUNCHES, self._tokens + (self.now - self._filled) * LAUNCHES_A_SECOND)
        self._filled = self.now
        wanted = self._clones + beyond - self._alive
        count = min(wanted, int(self._tokens))
        self._short = count < wanted
        for _ in range(count):
            counts = max(self._times.healthy, self._times.running + self._course.warm_up)
            heappush(self._starting, self.now + counts)
        self._tokens -= max(0, count)
        return max(0, count)

    def goes_on(self) -> bool:
        """Go to the next event; return whether there was one."""
        coming = [*self._starting[:1], *self._leaving[:1], *([self._held] if self._held is not None else [])]
        if self._short:  # EC2's bucket is empty
            coming.append(self.now + 1 / LAUNCHES_A_SECOND)
        if not coming:
            return False
        at = min(coming)
        self.extra += (at - self.now) * (self._alive + len(self._leaving) - self._clones)
        self.now = at
        while self._leaving and self._leaving[0] <= at:
            heappop(self._leaving)
        before = self._new
        while self._starting and self._starting[0] <= at:
            heappop(self._starting)
            self._new += 1
        if self._new != before:
            self.curve.append((at, self._new))
        return True
