"""Targets of a target group and their health, as an application load balancer sees it.

Sources: Elastic Load Balancing user guide for Application Load Balancers, "Health checks for your target
groups" (states and reason codes), "Register targets", "Deregistration delay", "Target group attributes".
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

DESCRIPTIONS = {
    "Elb.RegistrationInProgress": "Target registration is in progress",
    "Elb.InitialHealthChecking": "Initial health checks in progress",
    "Target.ResponseCodeMismatch": "Health checks failed with these codes: [{detail}]",
    "Target.Timeout": "Request timed out",
    "Target.FailedHealthChecks": "Health checks failed",
    "Target.NotRegistered": "Target is not registered to the target group",
    "Target.NotInUse": "Target group is not configured to receive traffic from the load balancer",
    "Target.DeregistrationInProgress": "Target deregistration is in progress",
    "Target.InvalidState": "Target is in the {detail} state",
    "Target.HealthCheckDisabled": "Health checks are disabled for this target group",
}
SERVING = ("healthy", "unhealthy")  # states in which a target may get requests at all


@dataclass(frozen=True)
class CheckSettings:
    """How a target group checks its targets; times in seconds."""

    path: str = "/"
    protocol: str = "HTTP"
    """HTTP, or TCP: a connection that is accepted."""
    port: str = "traffic-port"
    interval: float = 30.0
    timeout: float = 5.0
    healthy: int = 5
    unhealthy: int = 2
    matcher: str = "200"
    enabled: bool = True


@dataclass(eq=False)
class Target:
    """One registered target. ``open`` counts the requests that it is working on."""

    id: str
    port: int
    state: str = "initial"
    reason: str | None = "Elb.RegistrationInProgress"
    detail: str = ""
    successes: int = 0
    failures: int = 0
    open: int = 0
    drained_by: float | None = None  # the time at which draining ends whatever is still open

    @property
    def description(self) -> str | None:
        """What DescribeTargetHealth says of it."""
        return DESCRIPTIONS[self.reason].format(detail=self.detail) if self.reason else None

    def passed(self, settings: CheckSettings) -> None:
        """Take in a health check that went well: the first one suffices for a new target."""
        self.failures, self.successes = 0, self.successes + 1
        if self.state == "initial" or (self.state == "unhealthy" and self.successes >= settings.healthy):
            self.state, self.reason, self.detail = "healthy", None, ""

    def failed(self, settings: CheckSettings, reason: str, detail: str = "") -> None:
        """Take in a health check that failed."""
        self.successes, self.failures = 0, self.failures + 1
        if self.state == "initial":
            self.reason = "Elb.InitialHealthChecking"
        if self.state == "unhealthy" or self.failures >= settings.unhealthy:
            self.state, self.reason, self.detail = "unhealthy", reason, detail


@dataclass(eq=False)
class TargetGroup:
    """The targets of one target group, in the order of their registration."""

    arn: str
    settings: CheckSettings
    delay: float = 300.0  # deregistration delay in seconds
    targets: dict[str, Target] = field(default_factory=dict)
    draining: dict[str, Target] = field(default_factory=dict)
    _turn: itertools.count[int] = field(default_factory=itertools.count)

    def register(self, target_id: str, port: int) -> Target:
        """Add a target; one that is there keeps its health."""
        known = self.targets.get(target_id)
        if known is not None and known.port == port:
            return known
        self.draining.pop(target_id, None)
        self.targets[target_id] = Target(target_id, port)
        return self.targets[target_id]

    def deregister(self, target_id: str, now: float) -> None:
        """Send a target no more requests; it may finish those that it has."""
        target = self.targets.pop(target_id, None)
        if target is not None:
            target.state, target.reason = "draining", "Target.DeregistrationInProgress"
            target.drained_by = now + self.delay
            self.draining[target_id] = target

    def settle(self, now: float) -> bool:
        """Forget the targets that have drained; a target with nothing open has at once.

        Return whether there were any.
        """
        done = [
            t.id
            for t in self.draining.values()
            if t.open == 0 or (t.drained_by is not None and now >= t.drained_by)
        ]
        for target_id in done:
            del self.draining[target_id]
        return bool(done)

    def choose(self, avoiding: frozenset[str] = frozenset()) -> Target | None:
        """Return the next target in turn.

        Healthy ones, or, when none is, all that failed their checks (fail open).
        """
        for wanted in ("healthy", "unhealthy"):
            candidates = [t for t in self.targets.values() if t.state == wanted and t.id not in avoiding]
            if candidates:
                return candidates[next(self._turn) % len(candidates)]
        return None


def matches(status: int, matcher: str) -> bool:
    """Tell whether a status is among a matcher's codes: ``200``, ``200,202`` or ``200-299``."""
    for part in matcher.split(","):
        low, _, high = part.strip().partition("-")
        if int(low) <= status <= int(high or low):
            return True
    return False
