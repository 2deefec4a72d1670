"""Trying again: the one table of what an error of AWS means, how often a request is repeated, and for how
long.

Callers say what answered (a `Failure`); the rows of `TABLE` say what that means (a `Verdict`); `Retries`
repeats. docs/retries.md is this table for people, and a test holds the two together. Two places cannot use
it: `ingot/bake/instance/bootstrap.py`, which is user data and can import nothing (a test holds its words to
this table), and packages from mirrors, which have a policy of their own (`MIRROR`).
"""

from __future__ import annotations

import random
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Callable, Dict, FrozenSet, Iterable, Iterator, List, NoReturn, Optional, Tuple, TypeVar

T = TypeVar("T")


class Clock:
    """The time. Tests drive another one, so that nothing waits for real."""

    def now(self) -> float:
        """Return seconds of a clock that only goes forward."""
        return time.monotonic()

    def wall(self) -> float:
        """Return seconds since 1970."""
        return time.time()

    def pause(self, seconds: float, stop: Optional[threading.Event] = None) -> None:
        """Wait, until ``stop`` at the longest."""
        (stop or threading.Event()).wait(seconds)


_clock = Clock()


def now() -> float:
    """Return seconds of a clock that only goes forward."""
    return _clock.now()


def wall() -> float:
    """Return seconds since 1970."""
    return _clock.wall()


def pause(seconds: float, stop: Optional[threading.Event] = None) -> None:
    """Wait, until ``stop`` at the longest."""
    _clock.pause(seconds, stop)


@contextmanager
def driven_by(clock: Clock) -> Iterator[None]:
    """Let all waiting in the body be done by another clock."""
    global _clock  # one clock for all threads of the process
    before, _clock = _clock, clock
    try:
        yield
    finally:
        _clock = before


class Verdict(Enum):
    """What an error means: see `TABLE`."""

    FINAL = "final"
    TRANSIENT = "transient"
    THROTTLED = "throttled"
    SETTLING = "settling"
    UNTAGGED = "untagged"


@dataclass(frozen=True)
class Failure:
    """A request that failed. ``code``: AWS's error code, "" without an answer; ``status``: the HTTP status, 0
    without one; ``text``: what was said.

    ``broken``: the network or the answer was: cut off, empty, not what the service answers. ``age``: seconds
    since this process created the resource that the request names; None when it names none. ``blocks``: the
    request is one of EBS direct.
    """

    code: str = ""
    status: int = 0
    text: str = ""
    broken: bool = False
    age: Optional[float] = None
    blocks: bool = False


@dataclass(frozen=True)
class RetryRow:
    """One row: the codes (a ``*`` at the start stands for any letters), statuses and texts that mean
    ``verdict``.

    ``source``: who says so.
    """

    verdict: Verdict
    source: str
    codes: FrozenSet[str] = frozenset()
    statuses: FrozenSet[int] = frozenset()
    texts: Tuple[str, ...] = ()
    broken: bool = False
    # Only of EBS direct, and only within so many seconds of the creation of what is named.
    blocks: bool = False
    within: Optional[float] = None

    def meets(self, failure: Failure) -> bool:
        """Tell whether the row is about a failure."""
        if self.blocks and not failure.blocks:
            return False
        if self.within is not None and (failure.age is None or failure.age >= self.within):
            return False
        if self.broken:
            return failure.broken
        # A namespace may stand before a code, or an address behind it:
        # "aws.ebs#ThrottlingException:http://…".
        code = failure.code.partition(":")[0].rpartition("#")[2]
        return (
            code in self.codes
            or any(code.endswith(known[1:]) for known in self.codes if known[:1] == "*")
            or failure.status in self.statuses
            or any(text in failure.text for text in self.texts)
        )


# Seconds for which AWS may not know what it made: EC2 says InvalidAMIID.NotFound for up to 2.5 minutes after
# RegisterImage (packer issues 2033, 3377), EBS direct "does not exist" for a minute after StartSnapshot
# (coldsnap issue 43). Half a minute is on top, for the request that begins just before.
SETTLING = 180.0
# Seconds for which a policy on tags may not see those that StartSnapshot set. AccessDenied must not be
# repeated for long: it is nearly always a missing permission (bottlerocket issue 2667).
TAGS_SETTLING = 30.0
# Seconds for which throttling is sat out.
THROTTLED = 150.0

# What each error means; the first row that fits counts, and what fits none is final.
TABLE: Tuple[RetryRow, ...] = (
    RetryRow(
        Verdict.THROTTLED,
        "AWS SDKs and Tools Reference Guide, Retry behavior; EC2 User Guide, Request throttling; "
        "botocore's standard mode",
        codes=frozenset(
            {
                "Throttling",
                "ThrottlingException",
                "ThrottledException",
                "EC2ThrottledException",
                "RequestThrottled",
                "RequestThrottledException",
                "RequestLimitExceeded",
                "TooManyRequestsException",
                "ProvisionedThroughputExceededException",
                "BandwidthLimitExceeded",
                "TooManyUpdates",
                "SlowDown",
            }
        ),
        statuses=frozenset({429, 509}),
    ),
    RetryRow(
        Verdict.TRANSIENT,
        "AWS SDKs and Tools Reference Guide, Retry behavior; nanovms/ops issue 1268 (a block on a slow link)",
        codes=frozenset(
            {
                "RequestTimeout",
                "RequestTimeoutException",
                "PriorRequestNotComplete",
                "TransactionInProgressException",
                "InternalError",
                "InternalFailure",
                "InternalServerException",
                "InternalServerError",
                "ServiceUnavailable",
                "Unavailable",
                "BadDigest",
            }
        ),
        statuses=frozenset({408, 500, 502, 503, 504}),
        texts=("Failed to read block data",),
    ),
    RetryRow(
        Verdict.TRANSIENT,
        "botocore: no connection, a connection that ended, a timeout, TLS; a body that was cut off, is empty "
        "or is not what the service answers",
        broken=True,
    ),
    RetryRow(
        Verdict.SETTLING,
        "EC2 User Guide, Eventual consistency; packer issues 2033 and 3377, coldsnap issue 43",
        codes=frozenset({"*.NotFound", "*.Unavailable", "*NotFoundException", "ParameterNotFound"}),
        statuses=frozenset({404}),
        texts=("does not exist",),
        within=SETTLING,
    ),
    RetryRow(
        Verdict.UNTAGGED,
        "IAM User Guide, Changes are not always immediately visible: tags lag behind in authorization",
        codes=frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}),
        statuses=frozenset({403}),
        blocks=True,
        within=TAGS_SETTLING,
    ),
)


def judge(failure: Failure) -> Verdict:
    """Return what a failure means for the next try of the same request."""
    return next((row.verdict for row in TABLE if row.meets(failure)), Verdict.FINAL)


def codes_of(verdict: Verdict) -> FrozenSet[str]:
    """Return the error codes that mean ``verdict``."""
    return frozenset(code for row in TABLE if row.verdict is verdict for code in row.codes)


@dataclass(frozen=True)
class Backoff:
    """Pauses from ``first`` to ``longest`` seconds, growing by ``factor``; ``attempts``: of a request."""

    first: float
    longest: float
    factor: float = 2.0
    attempts: int = 0

    def limit(self, failures: int) -> float:
        """Return the longest pause after so many failures in a row, in seconds; 0 after none."""
        if failures == 0:
            return 0.0
        return min(self.longest, self.first * self.factor ** min(failures - 1, 30))


# Blocks of a snapshot, in both directions. Exponential backoff with jitter and a cap, as the AWS SDKs do it;
# their cap is 20 s (AWS SDKs and Tools Reference Guide, "Retry behavior"). Blocks are small and many, so
# less. A request that failed ten times in a row, which takes up to 26 s, will not succeed at the next try.
BLOCKS = Backoff(first=0.2, longest=5.0, attempts=10)
# All other calls of AWS: up to half a minute of outage.
CONTROL = Backoff(first=0.2, longest=10.0, attempts=8)
# Questions to a control plane until a state is reached. The longest pause is that of boto3's waiters for EC2
# (15 s), or less.
POLLING = Backoff(first=0.2, longest=10.0, factor=1.5)
# Packages from a mirror: apt retries three times (apt.conf(5), Acquire::Retries); a busy mirror needs a
# moment.
MIRROR = Backoff(first=1.0, longest=2.0, attempts=3)
# Packages from a public snapshot archive, which serves everyone: snapshot.debian.org answers 429 to clients
# that hurry (official-images issue 16044). Seven tries last two minutes; one after the other (distroless
# issue 1038: parallel requests are what it refuses).
SNAPSHOT = Backoff(first=2.0, longest=60.0, attempts=7)
# Seconds that a server may ask for by Retry-After; with more, the package is given up.
LONGEST_WAIT = 300.0


def until(
    condition: Callable[[], bool],
    *,
    limit: float,
    backoff: Backoff = POLLING,
    tick: Optional[Callable[[float], None]] = None,
    clock: Optional[Clock] = None,
) -> bool:
    """Ask ``condition`` until it holds, at most ``limit`` seconds; return whether it does.

    ``tick`` is called with the seconds waited before each pause. ``clock``: another one than the process's,
    which tests drive. Raises what ``condition`` raises.
    """
    clock = _clock if clock is None else clock
    start, looks = clock.now(), 0
    while not condition():
        waited = clock.now() - start
        if waited >= limit:
            return False
        if tick is not None:
            tick(waited)
        looks += 1
        clock.pause(min(backoff.limit(looks), limit - waited))
    return True


class StoppedError(Exception):
    """Another worker failed, so this one gives up too. It never leaves a transfer."""


class Budget:
    """How many repetitions all requests of one transfer have together. Throttling and settling have limits in
    time, and do not count.
    """

    def __init__(self, repetitions: int) -> None:
        self._left = repetitions
        self._lock = threading.Lock()

    def spend(self) -> bool:
        """Take one; tell whether there was one."""
        with self._lock:
            self._left -= 1
            return self._left >= 0


@dataclass
class Retries:
    """How requests are repeated: each kind of failure is counted by itself.

    ``diagnose`` gives the failure that an error of a request is that began then (as `now` gives it); None: it
    is not the request's, and is raised as it is.
    ``failure`` gives the error to raise for (what was done, the last error, the number of the attempt; 0: the
    budget is used up). ``pace`` scales the pauses; tests set it near 0. ``stop`` ends all waiting.
    ``deadline``: until then (as `now` gives it) outages and throttling are sat out, however often they come.
    """

    backoff: Backoff
    diagnose: Callable[[Exception, float], Optional[Failure]]
    failure: Callable[[str, Exception, int], Exception]
    budget: Optional[Budget] = None
    pace: float = 1.0
    stop: threading.Event = field(default_factory=threading.Event)
    deadline: Optional[float] = None

    def call(self, request: Callable[[], T], what: str) -> T:
        """Return the answer of ``request``; raise what ``failure`` gives when it cannot be fetched."""
        count = _Count()
        while True:
            if self.stop.is_set():
                raise StoppedError
            began = now()
            try:
                return request()
            except Exception as error:
                failure = self.diagnose(error, began)
                if failure is None:
                    raise
                verdict = judge(failure)
                count.add(verdict, began)
                if not self._worth(verdict, count, began):
                    self._give_up(what, error, count.total)
                if verdict is Verdict.TRANSIENT and self.budget is not None and not self.budget.spend():
                    self._give_up(what, error, 0)
            limit = self.backoff.limit(count.of(verdict))
            if self.deadline is not None:
                limit = min(limit, self.deadline - now())
            # Jitter, not a secret.
            pause(self.pace * random.uniform(limit / 10, limit), self.stop)  # noqa: S311

    def _worth(self, verdict: Verdict, count: "_Count", began: float) -> bool:
        """Tell whether a request that began then may succeed at the next try."""
        if self.deadline is not None and verdict in (Verdict.THROTTLED, Verdict.TRANSIENT):
            return now() < self.deadline
        return count.worth(verdict, began, self.backoff.attempts)

    def _give_up(self, what: str, error: Exception, attempt: int) -> NoReturn:
        final = self.failure(what, error, attempt)
        if final is error:
            raise error
        raise final from error


class _Count:
    """The failures of one request by what they mean, and when each kind began."""

    def __init__(self) -> None:
        self._counts: Dict[Verdict, int] = {}
        self._began: Dict[Verdict, float] = {}

    @property
    def total(self) -> int:
        return sum(self._counts.values())

    def of(self, verdict: Verdict) -> int:
        return self._counts[verdict]

    def add(self, verdict: Verdict, began: float) -> None:
        self._counts[verdict] = self._counts.get(verdict, 0) + 1
        self._began.setdefault(verdict, began)

    def worth(self, verdict: Verdict, began: float, attempts: int) -> bool:
        """Tell whether the same request may succeed at the next try, after one that began then."""
        if verdict is Verdict.THROTTLED:
            return began - self._began[verdict] < THROTTLED
        if verdict is Verdict.TRANSIENT:
            return self._counts[verdict] < attempts
        return verdict in (Verdict.SETTLING, Verdict.UNTAGGED)  # the table's rows have their limits


class Recent:
    """What this process created, and when: AWS may not know it yet.

    ``unanswered``: the creating calls of which no answer ever came; whether they made something is unknown.
    """

    def __init__(self) -> None:
        self._created: Dict[str, float] = {}
        self._lock = threading.Lock()
        self.unanswered: List[str] = []

    def note(self, identifier: str, at: Optional[float] = None) -> None:
        """Note that a resource was created, now or ``at`` (as `now` gives it)."""
        with self._lock:
            self._created[identifier] = now() if at is None else at

    def forget(self, identifier: str) -> None:
        """Note that a resource was removed: from now on it is not found because it is gone."""
        with self._lock:
            self._created.pop(identifier, None)

    def forget_everything(self) -> None:
        """Note that all that was created has been removed, as when a local cloud starts afresh."""
        with self._lock:
            self._created.clear()
            self.unanswered.clear()

    def age(self, identifiers: Iterable[str], at: float) -> Optional[float]:
        """Return the age, in seconds at the time ``at``, of the youngest of the resources; None: it is not of
        this process.
        """
        with self._lock:
            ages = [at - self._created[name] for name in identifiers if name in self._created]
        return min(ages, default=None)
